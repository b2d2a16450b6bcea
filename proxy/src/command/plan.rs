//! What `check` prints.

use std::fmt::Write;

use super::check::{Advertised, Files, Finding};
use crate::config::units::{display_duration, display_size};
use crate::config::{Backend, Config, Mixed, Mode};
use crate::net::descriptors;
use crate::runtime::advertised::{Route, unclear};

/// Returns the plan for `config`, what was found at its brokers, and of its files.
pub(super) fn render(config: &Config, findings: &[Finding], files: &Files) -> String {
    let mut text = String::new();
    lines(&mut text, config, findings, files).expect("a string takes every write");
    text
}

fn lines(out: &mut String, config: &Config, findings: &[Finding], files: &Files) -> std::fmt::Result {
    writeln!(out, "mode {}", config.mode)?;
    sequencing(out, config)?;
    for finding in findings {
        listener(out, finding)?;
    }
    match &config.admin {
        Some(admin) if admin.token_file.is_some() => writeln!(out, "admin port {}, with a token", admin.listen)?,
        Some(admin) => writeln!(out, "admin port {}", admin.listen)?,
        None => writeln!(out, "no admin port (--admin 127.0.0.1:9655 serves health and metrics)")?,
    }
    file(out, files.token.as_ref(), "its token can be read")?;
    match &config.journal {
        Some(journal) => writeln!(out, "journal {}", journal.file.display())?,
        None => writeln!(out, "no journal (--journal FILE keeps what was not ordinary)")?,
    }
    file(out, files.journal.as_ref(), "it can be opened")?;
    limits(out, config)
}

fn file(out: &mut String, found: Option<&Result<(), String>>, good: &str) -> std::fmt::Result {
    match found {
        None => Ok(()),
        Some(Ok(())) => writeln!(out, "  ok     {good}"),
        Some(Err(error)) => writeln!(out, "  ERROR  {error}"),
    }
}

fn sequencing(out: &mut String, config: &Config) -> std::fmt::Result {
    let sequencing = &config.sequencing;
    match (config.mode, config.mixed) {
        (Mode::Observe, _) => {}
        (_, Mixed::Strip) => {
            writeln!(out, "  mixed = \"strip\": duplicates are taken out of requests that hold others")?
        }
        (_, Mixed::Forward) => {
            writeln!(out, "  mixed = \"forward\": requests that hold others than duplicates go whole")?
        }
    }
    writeln!(
        out,
        "  window = {}, proof_ttl = {}: batches remembered per producer and partition, and for how long they answer",
        sequencing.window,
        display_duration(sequencing.proof_ttl)
    )?;
    let look_up = match (sequencing.look_up, config.mode) {
        (_, Mode::Observe) => "nothing is looked up in this mode",
        (true, _) => "what was not seen is looked up in the log, for clients that may READ their topic",
        (false, _) => "what was not seen is not looked up, and forwarded",
    };
    writeln!(out, "  look_up = {}: {look_up}", sequencing.look_up)?;
    let authoritative = if sequencing.authoritative {
        "every producer of the cluster must come through this one seqgate; a gap is told at once"
    } else {
        "others may produce too; a gap is a suspect until the broker refuses it"
    };
    writeln!(out, "  authoritative = {}: {authoritative}", sequencing.authoritative)?;
    let (backend, expiration) = match sequencing.backend {
        Backend::Kafka => ("kafka", display_duration(sequencing.producer_expiration)),
        Backend::Other => ("other", display_duration(sequencing.producer_expiration)),
    };
    writeln!(
        out,
        "  backend = \"{backend}\", which forgets an idle producer after {expiration} (producer_expiration)"
    )?;
    match sequencing.missing_to_enforce().as_slice() {
        _ if config.mode == Mode::Enforce => Ok(()),
        [] => writeln!(out, "  mode \"enforce\" is possible"),
        missing => writeln!(out, "  mode \"enforce\" would need {}", missing.join(", ")),
    }
}

fn listener(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let listener = &finding.listener;
    writeln!(out, "listener {}: {} -> {}", listener.name, listener.listen, listener.upstream)?;
    match &finding.reached {
        Ok(()) => writeln!(out, "  ok     the broker can be reached")?,
        Err(error) => return writeln!(out, "  ERROR  the broker cannot be reached: {error}"),
    }
    let advertised = match &finding.advertised {
        Advertised::Told(advertised) => advertised,
        Advertised::NotTold(error) => {
            return writeln!(out, "  note   the broker did not say what it advertises: {error} (TLS or SASL?)");
        }
        Advertised::NotKafka(error) => return writeln!(out, "  ERROR  {error}"),
    };
    for (address, route) in advertised {
        match route {
            Route::Proxy => writeln!(out, "  ok     advertised {address} leads to this proxy")?,
            Route::Unclear => writeln!(out, "  note   {}", unclear(address))?,
            Route::Around => writeln!(out, "  ERROR  advertised {address} leads around this proxy")?,
        }
    }
    if advertised.iter().any(|(_, route)| *route == Route::Around) {
        writeln!(
            out,
            "         clients will go around: set the broker's advertised.listeners to this proxy's address"
        )?;
    }
    Ok(())
}

fn limits(out: &mut String, config: &Config) -> std::fmt::Result {
    let (limits, needed) = (&config.limits, descriptors::needed(config));
    writeln!(out, "limits")?;
    match descriptors::raise() {
        Some(limit) if limit < needed => {
            let possible = descriptors::connections_possible(config, limit);
            let max = limits.connections_max;
            writeln!(out, "  WARN   {max} connections need {needed} descriptors, {limit} are allowed")?;
            writeln!(
                out,
                "         enough for {possible}: raise the limit (ulimit -n, LimitNOFILE=) or lower connections_max"
            )?;
        }
        Some(limit) => writeln!(
            out,
            "  ok     {} connections need {needed} descriptors, {limit} are allowed",
            limits.connections_max
        )?,
        None => writeln!(out, "  ok     {} connections need {needed} descriptors", limits.connections_max)?,
    }
    let memory = display_size(limits.memory_max);
    let (frame, hold) = (display_size(limits.frame_bytes_max), display_size(limits.hold_bytes_max));
    writeln!(out, "  memory {memory} for buffers and state; frames up to {frame}, held whole up to {hold}")?;
    writeln!(out, "  drain  {}", display_duration(limits.drain))
}
