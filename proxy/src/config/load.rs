//! What the file, the environment and the flags mean together.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::error::{ConfigError, Source};
use super::typed::{TypedAdmin, TypedConfig, TypedJournal, TypedListener, beside};
use super::{AdminConfig, Config, HostPort, JournalConfig, Limits, ListenerConfig, Mixed, Mode, Sequencing};

/// Bytes of a configuration file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Listeners of one process at most.
const LISTENERS_MAX: usize = 1_024;
/// Where the admin port is when the file asks for one without saying where.
const ADMIN_LISTEN: &str = "127.0.0.1:9655";

/// Holds what flags and environment say; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<HostPort>,
    /// `--upstream`.
    pub upstream: Option<HostPort>,
    /// `--mode`.
    pub mode: Option<Mode>,
    /// `--admin`.
    pub admin: Option<HostPort>,
    /// `--admin-token-file`.
    pub admin_token_file: Option<PathBuf>,
    /// `--journal`.
    pub journal: Option<PathBuf>,
}

impl Config {
    /// Reads and validates the configuration.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let text = file.map(read).transpose()?.unwrap_or_default();
        Self::from_text(file.unwrap_or(Path::new("flags")), &text, overrides)
    }

    fn from_text(file: &Path, text: &str, overrides: Overrides) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let mut typed = TypedConfig::parse(source)?;
        let listeners = listeners(std::mem::take(&mut typed.listener), &overrides, source)?;
        let mode = overrides.mode.or(typed.mode).unwrap_or(Mode::Dedupe);
        let sequencing = Sequencing::judge(&typed.sequencing, source)?;
        if let Some(missing) = sequencing.missing_for(mode) {
            return Err(ConfigError::Usage(missing));
        }
        Ok(Self {
            mode,
            mixed: typed.mixed.unwrap_or(Mixed::Strip),
            sequencing,
            limits: Limits::judge(&typed.limits, source)?,
            journal: journal(typed.journal, overrides.journal.as_deref(), source)?,
            admin: admin(typed.admin, overrides, &listeners, source)?,
            listeners,
        })
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let fail = |error| ConfigError::Read { file: file.to_owned(), error };
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    if read.map_err(fail)? as u64 > FILE_BYTES_MAX {
        return Err(fail(std::io::Error::other(format!("it exceeds the limit of {FILE_BYTES_MAX} bytes"))));
    }
    Ok(text)
}

fn listeners(
    typed: Vec<Spanned<TypedListener>>,
    overrides: &Overrides,
    source: Source<'_>,
) -> Result<Vec<ListenerConfig>, ConfigError> {
    let count = typed.len();
    if count > LISTENERS_MAX {
        let problem = format!("found {count} listeners, expected at most {LISTENERS_MAX}");
        return Err(source.error_without_line("listener", problem));
    }
    let mut taken = BTreeSet::new();
    let mut listeners = Vec::with_capacity(count);
    for (index, typed) in typed.into_iter().enumerate() {
        let span = typed.get_ref().name.as_ref().map_or_else(|| typed.span(), Spanned::span);
        let listen_span = typed.get_ref().listen.span();
        let listener = listener(index, count, typed.into_inner(), source)?;
        if !taken.insert(listener.name.clone()) {
            let problem = format!("found {:?} twice, expected a name of its own for every listener", listener.name);
            return Err(source.error(&format!("listener[{index}].name"), span, problem));
        }
        if let Some(problem) = collision(&format!("listener {}", listener.name), &listener.listen, &listeners) {
            return Err(source.error(&format!("listener[{index}].listen"), listen_span, problem));
        }
        listeners.push(listener);
    }
    override_listener(listeners, overrides, source)
}

/// Says which of `listeners` takes the address that `who` is to have, if one does.
fn collision(who: &str, listen: &HostPort, listeners: &[ListenerConfig]) -> Option<String> {
    let taken = listeners.iter().find(|listener| listener.listen.collides_with(listen))?;
    Some(format!(
        "found {listen} for {who}, where listener {} takes {}; expected an address or a port of its own",
        taken.name, taken.listen
    ))
}

fn listener(
    index: usize,
    count: usize,
    typed: TypedListener,
    source: Source<'_>,
) -> Result<ListenerConfig, ConfigError> {
    let key = |name: &str| format!("listener[{index}].{name}");
    if typed.upstream.get_ref() == "original-destination" {
        let problem = "\"original-destination\" is not in this version; name a broker as HOST:PORT";
        return Err(source.error(&key("upstream"), typed.upstream.span(), problem));
    }
    let name = match typed.name {
        Some(name) if is_name(name.get_ref()) => name.into_inner(),
        Some(name) => {
            let problem = format!("found {:?}, expected 1 to 64 letters, digits, '-', '_' or '.'", name.get_ref());
            return Err(source.error(&key("name"), name.span(), problem));
        }
        None if count == 1 => "default".to_owned(),
        None => index.to_string(),
    };
    Ok(ListenerConfig {
        name,
        listen: address(&key("listen"), &typed.listen, source)?,
        upstream: broker(&key("upstream"), &typed.upstream, source)?,
        cluster_name: typed.cluster_name,
    })
}

/// Says whether `name` can stand in a line of `key=value` pairs.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn address(key: &str, typed: &Spanned<String>, source: Source<'_>) -> Result<HostPort, ConfigError> {
    typed.get_ref().parse().map_err(|error| source.error(key, typed.span(), format!("{error}")))
}

fn broker(key: &str, typed: &Spanned<String>, source: Source<'_>) -> Result<HostPort, ConfigError> {
    let broker = address(key, typed, source)?;
    if broker.port == 0 {
        return Err(source.error(key, typed.span(), format!("found {broker}, expected a port from 1 to 65535")));
    }
    Ok(broker)
}

fn override_listener(
    mut listeners: Vec<ListenerConfig>,
    overrides: &Overrides,
    source: Source<'_>,
) -> Result<Vec<ListenerConfig>, ConfigError> {
    let usage = |text: &str| Err(ConfigError::Usage(text.to_owned()));
    if overrides.upstream.as_ref().is_some_and(|upstream| upstream.port == 0) {
        return usage("--upstream: found port 0, expected a port from 1 to 65535");
    }
    match (&overrides.listen, &overrides.upstream, listeners.as_mut_slice()) {
        (None, None, []) if source.text.is_empty() => {
            usage("no listener: give --listen ADDR and --upstream ADDR, or -c FILE")
        }
        (None, None, []) => Err(source.error_without_line("listener", "found none, expected [[listener]] per broker")),
        (None, None, [..]) => Ok(listeners),
        (Some(listen), Some(upstream), []) => Ok(vec![ListenerConfig::new(listen.clone(), upstream.clone())]),
        (Some(_), None, []) => usage("--listen needs --upstream ADDR, the broker behind it"),
        (None, Some(_), []) => usage("--upstream needs --listen ADDR, where clients connect"),
        (listen, upstream, [only]) => {
            only.listen = listen.clone().unwrap_or_else(|| only.listen.clone());
            only.upstream = upstream.clone().unwrap_or_else(|| only.upstream.clone());
            Ok(listeners)
        }
        (_, _, [_, _, ..]) => usage("--listen and --upstream: the file has several listeners; change them there"),
    }
}

fn admin(
    typed: Option<TypedAdmin>,
    overrides: Overrides,
    listeners: &[ListenerConfig],
    source: Source<'_>,
) -> Result<Option<AdminConfig>, ConfigError> {
    let in_file = typed.is_some();
    let (listen, token_file) = typed.map_or((None, None), |typed| (typed.listen, typed.token_file));
    let token_file = overrides.admin_token_file.or(token_file.map(|path| beside(source.file, path)));
    let (listen, span) = match (overrides.admin, listen) {
        (Some(listen), _) => (listen, None),
        (None, Some(typed)) => (address("admin.listen", &typed, source)?, Some(typed.span())),
        (None, None) if in_file => (ADMIN_LISTEN.parse().expect("a constant address"), None),
        (None, None) if token_file.is_some() => {
            return Err(ConfigError::Usage(
                "--admin-token-file needs --admin ADDR, the port that asks for it".to_owned(),
            ));
        }
        (None, None) => return Ok(None),
    };
    let without_token = (token_file.is_none() && !is_loopback(&listen)).then(|| {
        format!(
            "found {listen}, which is not a loopback address, without a token; \
             expected 127.0.0.1, or a token file (token_file in [admin], --admin-token-file)"
        )
    });
    if let Some(problem) = without_token.or_else(|| collision("the admin port", &listen, listeners)) {
        return Err(match span {
            Some(span) => source.error("admin.listen", span, problem),
            None => ConfigError::Usage(format!("--admin: {problem}")),
        });
    }
    Ok(Some(AdminConfig { listen, token_file }))
}

fn journal(
    typed: Option<Spanned<TypedJournal>>,
    flag: Option<&Path>,
    source: Source<'_>,
) -> Result<Option<JournalConfig>, ConfigError> {
    let span = typed.as_ref().map_or(0..0, Spanned::span);
    let in_file = typed.map(Spanned::into_inner);
    let every_batch = in_file.as_ref().is_some_and(|typed| typed.every_batch);
    let named = in_file.map(|typed| typed.file);
    let (file, span) = match (flag, named) {
        (Some(file), _) => (file.to_owned(), span),
        (None, Some(Some(file))) => (beside(source.file, file.get_ref().clone()), file.span()),
        (None, Some(None)) => return Err(source.error("journal", span, "missing field `file`, or --journal FILE")),
        (None, None) => return Ok(None),
    };
    if file.as_os_str().is_empty() {
        return Err(source.error("journal.file", span, "found \"\", expected the path of a file"));
    }
    Ok(Some(JournalConfig { file, every_batch }))
}

fn is_loopback(address: &HostPort) -> bool {
    address.host == "localhost" || address.ip().is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
