use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_text(Path::new("seqgate.toml"), text, Overrides::default())
}

/// Returns the error for a file that has one good listener after `text`.
fn error(text: &str) -> String {
    let listener = "\n[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"kafka:9092\"\n";
    load(&format!("{text}{listener}")).expect_err("a wrong file").to_string()
}

#[test]
fn the_files_of_the_readme_load_as_they_are_copied() {
    let readme = include_str!("../../../README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let configs: Vec<Config> = blocks.iter().map(|block| load(block).unwrap()).collect();
    // The reference shows the defaults.
    let reference = &configs[blocks.iter().position(|block| block.contains("[sequencing]")).unwrap()];
    assert_eq!((reference.mode, reference.mixed), (Mode::Dedupe, Mixed::Strip));
    assert_eq!((&reference.limits, &reference.sequencing), (&Limits::default(), &Sequencing::default()));
    assert!(configs.iter().any(|config| config.listeners.len() == 3));
}

const LISTEN: &str = "listen = \"0.0.0.0:9092\"\nupstream = \"kafka-1:9092\"\n";

#[test]
fn a_listener_is_enough() {
    let config = load(&format!("[[listener]]\n{LISTEN}")).unwrap();
    assert_eq!((config.mode, config.mixed), (Mode::Dedupe, Mixed::Strip));
    assert_eq!(config.listeners[0].name, "default");
    assert_eq!((config.limits, config.sequencing), (Limits::default(), Sequencing::default()));
    assert_eq!((config.journal, config.admin), (None, None));
}

#[test]
fn every_key_of_the_reference_is_read() {
    let text = r#"
        mode = "observe"
        mixed = "forward"
        [[listener]]
        name = "kafka-1"
        listen = "[::1]:9092"
        upstream = "kafka-1.internal:9092"
        cluster_name = "orders"
        [sequencing]
        proof_ttl = "120s"
        window = 5
        producers_max = 1_000
        authoritative = true
        backend = "other"
        producer_expiration = "1h"
        [limits]
        connections_max = 10
        frame_bytes_max = "50MiB"
        hold_bytes_max = 4096
        memory_max = "64MiB"
        in_flight_max = 8
        pipes_max = 0
        drain = "0s"
        dial_timeout = "100ms"
        [journal]
        file = "seqgate.jsonl"
        every_batch = true
        [admin]
        listen = "0.0.0.0:9655"
        token_file = "token"
    "#;
    let config = Config::from_text(Path::new("/etc/seqgate/a.toml"), text, Overrides::default()).unwrap();
    assert_eq!((config.mode, config.mixed), (Mode::Observe, Mixed::Forward));
    assert_eq!((config.limits.hold_bytes_max, config.limits.drain.as_millis()), (4096, 0));
    assert_eq!((config.sequencing.window, config.sequencing.authoritative), (5, true));
    assert_eq!(config.admin.unwrap().token_file.unwrap(), Path::new("/etc/seqgate/token"));
    assert_eq!(config.journal, Some(JournalConfig { file: "/etc/seqgate/seqgate.jsonl".into(), every_batch: true }));
}

#[test]
fn errors_name_file_line_and_key_and_say_what_would_be_right() {
    let cases = [
        (
            "moed = \"observe\"",
            "seqgate.toml:1: moed: unknown field `moed`, expected one of `mode`, `mixed`, `listener`, `sequencing`, `limits`, `admin`, `journal`",
        ),
        (
            "\nmode = \"observed\"",
            "seqgate.toml:2: mode: found \"observed\", expected \"observe\", \"dedupe\" or \"enforce\"",
        ),
        ("mode = \"loud\"", "seqgate.toml:1: mode: found \"loud\", expected \"observe\", \"dedupe\" or \"enforce\""),
        ("mode = 1", "seqgate.toml:1: mode: invalid type: integer `1`, expected a string"),
        ("[sequencing]\nwindow = 4", "seqgate.toml:2: sequencing.window: found 4, expected 5 to 1024"),
        ("[sequencing]\nwindow = 1025", "seqgate.toml:2: sequencing.window: found 1025, expected 5 to 1024"),
        (
            "[sequencing]\nproof_ttl = 300",
            "seqgate.toml:2: sequencing.proof_ttl: invalid type: integer `300`, expected a duration such as \"500ms\", \"300s\", \"5m\", \"24h\" or \"7d\"",
        ),
        (
            "[sequencing]\nbackend = \"pulsar\"",
            "seqgate.toml:2: sequencing.backend: unknown variant `pulsar`, expected `kafka` or `other`",
        ),
        (
            "[limits]\n\nframe_bytes_max = \"100MB\"",
            "seqgate.toml:3: limits.frame_bytes_max: invalid value: string \"100MB\", expected a size such as \"64KiB\", \"2MiB\" or \"1GiB\", or a number of bytes",
        ),
        (
            "[limits]\nhold_bytes_max = \"101MiB\"",
            "seqgate.toml:2: limits.hold_bytes_max: found 101MiB, expected at most limits.frame_bytes_max, which is 100MiB",
        ),
        (
            "[limits]\nconnections_max = -1",
            "seqgate.toml:2: limits.connections_max: invalid value: integer `-1`, expected u64",
        ),
        ("[limits]\nconnections_max = 0", "seqgate.toml:2: limits.connections_max: found 0, expected 1 to 1000000"),
        ("[limits]\ndrain = \"2h\"", "seqgate.toml:2: limits.drain: found 2h, expected 0ms to 1h"),
        (
            "[admin]\nlisten = \"0.0.0.0:9655\"",
            "seqgate.toml:2: admin.listen: found 0.0.0.0:9655, which is not a loopback address, without a token; expected 127.0.0.1, or a token file (token_file in [admin], --admin-token-file)",
        ),
        ("\n[journal]\nevery_batch = true", "seqgate.toml:2: journal: missing field `file`, or --journal FILE"),
        ("[journal]\nfile = \"\"", "seqgate.toml:2: journal.file: found \"\", expected the path of a file"),
        (
            "[journal]\nfiel = \"a\"",
            "seqgate.toml:2: journal.fiel: unknown field `fiel`, expected `file` or `every_batch`",
        ),
        ("[journal]\n\"\" = 1", "seqgate.toml:2: journal.\"\": unknown field ``, expected `file` or `every_batch`"),
        (
            "[sequencing]\nbackend = \"\\u001b[2J\"",
            "seqgate.toml:2: sequencing.backend: unknown variant `\\u{1b}[2J`, expected `kafka` or `other`",
        ),
        ("[cluster]\nlisten = \"x\"", "seqgate.toml:1: cluster: not in this version; take it out"),
        ("[faults]", "seqgate.toml:1: faults: not in this version; take it out"),
        ("mode = ", "seqgate.toml:1: syntax: string values must be quoted, expected literal string"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn a_listener_is_judged_key_by_key() {
    let cases = [
        (
            "name = \"a b\"\n",
            "seqgate.toml:2: listener[0].name: found \"a b\", expected 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        ("tls = { cert = \"a\" }\n", "seqgate.toml:2: listener[0].tls: not in this version; take it out"),
        (
            "cluster_nam = \"a\"\n",
            "seqgate.toml:2: listener[0].cluster_nam: unknown field `cluster_nam`, expected one of `name`, `listen`, `upstream`, `cluster_name`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(load(&format!("[[listener]]\n{text}{LISTEN}")).unwrap_err().to_string(), expected);
    }
    let wrong = load("[[listener]]\nlisten = \"9092\"\nupstream = \"a:1\"").unwrap_err().to_string();
    assert_eq!(
        wrong,
        "seqgate.toml:2: listener[0].listen: \"9092\" is not HOST:PORT, such as \"127.0.0.1:9092\" or \"[::1]:9092\""
    );
    let later = load("[[listener]]\nlisten = \"a:1\"\nupstream = \"original-destination\"").unwrap_err().to_string();
    assert_eq!(
        later,
        "seqgate.toml:3: listener[0].upstream: \"original-destination\" is not in this version; name a broker as HOST:PORT"
    );
    let single = load(&format!("\n[listener]\n{LISTEN}")).unwrap_err().to_string();
    assert_eq!(single, "seqgate.toml:2: listener: found one table, expected a list: write [[listener]] per broker");
    let none = load("[[listener]]\nlisten = \"a:1\"").unwrap_err().to_string();
    assert_eq!(none, "seqgate.toml:1: listener[0]: missing field `upstream`");
}

#[test]
fn a_mode_that_needs_more_says_what_is_missing_and_nothing_else() {
    let missing = |sequencing: &str| error(&format!("mode = \"enforce\"\n[sequencing]\n{sequencing}"));
    assert_eq!(
        missing(""),
        "mode \"enforce\" needs authoritative = true under [sequencing] in the file: every producer of the cluster comes \
         through this one seqgate. No flag sets that; start again with it"
    );
    assert_eq!(
        missing("authoritative = true\nlook_up = false\nbackend = \"other\""),
        "mode \"enforce\" needs look_up = true and backend = \"kafka\" under [sequencing] in the file. No flag sets that; \
         start again with it"
    );
}

#[test]
fn names_of_listeners_are_unique() {
    let twice = load(&format!("[[listener]]\nname = \"1\"\n{LISTEN}[[listener]]\n{LISTEN}")).unwrap_err().to_string();
    assert_eq!(
        twice,
        "seqgate.toml:5: listener[1].name: found \"1\" twice, expected a name of its own for every listener"
    );
}

#[test]
fn flags_win_over_the_file_when_it_is_clear_which_listener_they_mean() {
    let flags = |listen: Option<&str>, upstream: Option<&str>| Overrides {
        listen: listen.map(|address| address.parse().unwrap()),
        upstream: upstream.map(|address| address.parse().unwrap()),
        mode: Some(Mode::Observe),
        ..Overrides::default()
    };
    let file = format!("mode = \"dedupe\"\n[[listener]]\n{LISTEN}");
    let path = Path::new("seqgate.toml");
    let config = Config::from_text(path, &file, flags(Some("127.0.0.1:1"), None)).unwrap();
    assert_eq!(config.listeners[0].listen.to_string(), "127.0.0.1:1");
    assert_eq!((config.listeners[0].upstream.to_string(), config.mode), ("kafka-1:9092".to_owned(), Mode::Observe));

    let two = format!("[[listener]]\n{LISTEN}[[listener]]\n{}", LISTEN.replace(":9092\"\nup", ":9093\"\nup"));
    let error = Config::from_text(path, &two, flags(Some("127.0.0.1:1"), None)).unwrap_err().to_string();
    assert_eq!(error, "--listen and --upstream: the file has several listeners; change them there");
    let error = Config::from_text(path, "", flags(Some("127.0.0.1:1"), None)).unwrap_err().to_string();
    assert_eq!(error, "--listen needs --upstream ADDR, the broker behind it");
    let error = Config::from_text(path, "", Overrides::default()).unwrap_err().to_string();
    assert_eq!(error, "no listener: give --listen ADDR and --upstream ADDR, or -c FILE");
}

#[test]
fn the_flag_for_the_journal_wins_over_the_file_and_keeps_what_it_tells() {
    let flag = |text: &str| {
        let overrides = Overrides { journal: Some("b.jsonl".into()), ..Overrides::default() };
        let config = Config::from_text(Path::new("/etc/a.toml"), &format!("{text}\n[[listener]]\n{LISTEN}"), overrides);
        config.unwrap().journal.unwrap()
    };
    let journal = |every_batch| JournalConfig { file: "b.jsonl".into(), every_batch };
    assert_eq!(flag(""), journal(false));
    assert_eq!(flag("[journal]\nfile = \"a.jsonl\"\nevery_batch = true"), journal(true));
    assert_eq!(flag("[journal]\nevery_batch = true"), journal(true));
}
