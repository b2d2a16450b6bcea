//! What the search is worth: deliberate defects, each of which it must find.
//!
//! A defect is a change to a copy of the sources, made in the build of this test: what is shipped has no switch for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file below `protocol/src`, a text that stands there once, and what is put in its place.
type Edit = (&'static str, &'static str, &'static str);

/// What is wrong, and how it comes about.
type Defect = (&'static str, &'static [Edit]);

/// Seeds within which each must be found.
const SEEDS: &str = "10000";

/// What one guard alone would not let through is taken away with all its guards: a transaction's batch proves nothing, is
/// looked up for no proof and keeps its request from being answered; a topic's new id retires the old one in the directory
/// and in the topics. Each of these alone harms nobody, and is not found. Nor would it be found that contents are compared
/// without the epoch: CRC-32C covers it.
const DEFECTS: [Defect; 31] = [
    (
        "answers a batch that is in flight",
        &[(
            "sequencing/tracker/observe.rs",
            "        if classified.proof.is_some() && !batch.transactional",
            "        if classified.rule == Rule::D10 {\n            let (batch, fingerprint) = (batch.id, batch.fingerprint);\n            \
             classified.proof = Some(super::Proof { batch, fingerprint, base_offset: 0, log_append_time: -1, \
             log_start_offset: -1 });\n        }\n        if classified.proof.is_some() && !batch.transactional",
        )],
    ),
    (
        "takes a timeout for an acknowledgement",
        &[(
            "sequencing/tracker/settle.rs",
            "    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Millis) -> Settlement {",
            "    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Millis) -> Settlement {\n        let outcome = \
             match outcome {\n            Outcome::Answered(answer) if answer.error == ErrorCode(7) => {\n                \
             Outcome::Answered(Answer { error: ErrorCode::NONE, ..answer })\n            }\n            other => other,\n        };",
        )],
    ),
    (
        "holds a producer id that was handed out for the one before",
        &[(
            "sequencing/handed.rs",
            "        self.get(id).is_some_and(|handed| handed.serial > seen && epoch >= handed.lowest)",
            "        self.get(id).is_some_and(|handed| handed.serial > seen && epoch > handed.lowest)",
        )],
    ),
    (
        "forgets the generation",
        &[("sequencing/tracker/observe.rs", "            entry.alone = true;", "            entry.alone = false;")],
    ),
    (
        "is off by one at the wrap",
        &[(
            "sequencing/sequence.rs",
            "        Self(self.0.wrapping_add(count) & Self::MAX)",
            "        Self(self.0.wrapping_add(count) % Self::MAX)",
        )],
    ),
    (
        "answers under the number of another request",
        &[(
            "session/admit.rs",
            "produce::answer(request.version, request.correlation_id, &stripped.answers)",
            "produce::answer(request.version, request.correlation_id - 1, &stripped.answers)",
        )],
    ),
    (
        "does not compare contents",
        &[(
            "sequencing/tracker/classify.rs",
            "            && proof.fingerprint == batch.fingerprint",
            "            && proof.base_offset >= 0",
        )],
    ),
    (
        "lets no time pass",
        &[(
            "sequencing/tracker/evidence.rs",
            "        now.since(entry.proof_at) >= self.limits.proof_ttl_ms",
            "        now.since(entry.proof_at) == u64::MAX",
        )],
    ),
    (
        "believes late answers",
        &[(
            "sequencing/tracker/settle.rs",
            "        let late = attempt.partition_stamp != self.partitions[attempt.partition].stamp\n            ||",
            "        let late = attempt.partition_stamp == u32::MAX - self.partitions[attempt.partition].stamp\n            ||",
        )],
    ),
    (
        "does not mind two batches at one place",
        &[(
            "sequencing/intervals.rs",
            "(true, false, _) | (false, _, false) => return Fit::Contradiction,",
            "(true, false, _) | (false, _, false) => fit = Fit::Known,",
        )],
    ),
    (
        "does not hear that a partition is gone",
        &[(
            "sequencing/answer.rs",
            "matches!(self, Self::UNKNOWN_TOPIC_OR_PARTITION | Self::KAFKA_STORAGE_ERROR | Self::UNKNOWN_TOPIC_ID)",
            "matches!(self, Self::UNKNOWN_TOPIC_ID)",
        )],
    ),
    (
        "strips what is new",
        &[("session/admit.rs", "|at| observed[at].proof.is_none())", "|at| observed[at].proof.is_some())")],
    ),
    (
        "keeps a ticket of what was not answered",
        &[(
            "session/settle.rs",
            "        self.settle_rest(pending.ledger, pending.claims, Outcome::Lost, now);",
            "        drop(pending);",
        )],
    ),
    (
        "calls what follows a refused batch a gap",
        &[(
            "sequencing/tracker/observe.rs",
            "    entry.is_unsure() || entry.is_partial() || entry.follows_refused(base)",
            "    entry.is_unsure() || entry.is_partial()",
        )],
    ),
    (
        "rewinds over a duplicate",
        &[(
            "sequencing/window.rs",
            "        (!self.is_empty()).then(|| self.newest.last.advance(1))",
            "        self.slots().next().map(|slot| slot.last.advance(1))",
        )],
    ),
    (
        "sends the next batch while one goes alone",
        &[("sequencing/tracker/observe.rs", "            return Passage::Hold;", "            return Passage::Free;")],
    ),
    (
        "lets a late answer bring an old epoch back",
        &[(
            "sequencing/tracker/settle.rs",
            "        if id.epoch < entry.epoch {",
            "        if id.epoch < entry.epoch && entry.alone && !entry.alone {",
        )],
    ),
    (
        "takes a new epoch for the one before",
        &[(
            "sequencing/tracker/settle.rs",
            "        if entry.epoch == epoch && !entry.is_cold() {",
            "        if !entry.is_cold() {\n            entry.epoch = epoch;",
        )],
    ),
    (
        "compares no epochs",
        &[
            (
                "sequencing/tracker/classify.rs",
                "        if epoch < entry.epoch {",
                "        if epoch < entry.epoch && entry.alone && !entry.alone {",
            ),
            (
                "sequencing/tracker/classify.rs",
                "        if epoch > entry.epoch {",
                "        if epoch > entry.epoch && entry.alone && !entry.alone {",
            ),
        ],
    ),
    (
        "lets an answer go whose proof has ended",
        &[(
            "session/mod.rs",
            "        local.ledger == self.current && self.all_hold(local.ledger, &local.kept, now)",
            "        local.ledger < 100 && now.0 > 0",
        )],
    ),
    (
        "puts back into an answer what is proven no more",
        &[("session/settle.rs", " || !self.all_hold(ledger, &stripped.kept, now)", "")],
    ),
    (
        "takes a leader's word for a proof",
        &[("sequencing/tracker/settle.rs", "has_offset && attempt.acks == Acks::All && ", "has_offset && ")],
    ),
    (
        "takes a topic that was made anew for the old one",
        &[
            (
                "session/learn.rs",
                "                ledger.each_tracker(|tracker| tracker.end_topic(TopicRef::Id(old)));\n",
                "                let _ = old;\n",
            ),
            (
                "sequencing/topics.rs",
                "(Some(at), None) if self.slab[at].id.is_some() => self.retire(at),",
                "(Some(at), None) if self.slab[at].id.is_some() => {}",
            ),
        ],
    ),
    (
        "believes in a cluster that is no more",
        &[("sequencing/tracker/evidence.rs", "        self.cluster_stamp = self.cluster_stamp.wrapping_add(1);", "")],
    ),
    (
        "does not know a retry of what is in flight",
        &[("sequencing/tracker/classify.rs", "                self.same_pending |= other == range;\n", "")],
    ),
    (
        "forgets what is in flight",
        &[
            (
                "sequencing/tracker/classify.rs",
                "            State::Pending => {\n",
                "            State::Pending if attempt.serial == 0 => {\n",
            ),
            (
                "sequencing/tracker/classify.rs",
                "            State::Unknown { .. } =>",
                "            State::Pending => {}\n            State::Unknown { .. } =>",
            ),
        ],
    ),
    (
        "takes a partition at its word that stands twice in a request",
        &[(
            "session/admit.rs",
            "keys.windows(2).filter(|pair| pair[0] == pair[1])",
            "keys.windows(2).filter(|pair| pair[0] == pair[1] && pair.is_empty())",
        )],
    ),
    (
        "answers batches of transactions",
        &[
            ("session/admit.rs", "            && !transactional\n", ""),
            ("sequencing/tracker/observe.rs", " && !batch.transactional && sender.acks", " && sender.acks"),
            (
                "sequencing/tracker/settle.rs",
                " && attempt.acks == Acks::All && !attempt.batch.transactional",
                " && attempt.acks == Acks::All",
            ),
        ],
    ),
    (
        "calls a timeout an acknowledgement without a proof",
        &[(
            "sequencing/answer.rs",
            "ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Fate::Acked,",
            "ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER | ErrorCode(7) => Fate::Acked,",
        )],
    ),
    (
        "counts the time of what is unknown from when it was sent",
        &[(
            "sequencing/tracker/unknown.rs",
            "        kept.since = now;\n",
            "        kept.since = kept.since.min(now);\n",
        )],
    ),
    (
        "does not mind what a late answer contradicts",
        &[(
            "sequencing/tracker/settle.rs",
            "        settlement.ended = self.take_in_interval(attempt, answer, late);\n",
            "        settlement.ended = (!late).then(|| self.take_in_interval(attempt, answer, late)).flatten();\n",
        )],
    ),
];

#[test]
fn every_deliberate_defect_is_found() {
    let workspace = workspace();
    build(&workspace);
    let missed: Vec<&str> =
        DEFECTS.iter().enumerate().filter(|(at, _)| !is_found(&workspace, *at)).map(|(_, it)| it.0).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

/// A workspace with one changed copy of the sources for each defect, and the search over it.
fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("defects");
    let dependencies = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace is there");
    let line = |name: &str| dependencies.lines().find(|line| line.starts_with(name)).expect("a dependency").to_owned();
    let dependencies = [line("hashbrown = "), line("thiserror = ")].join("\n");
    let names: Vec<String> = (0..DEFECTS.len()).map(|at| format!("\"defect-{at}\"")).collect();
    write(
        &place.join("Cargo.toml"),
        &format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[profile.dev]\nopt-level = 1\ndebug = false\nincremental = false\n",
            names.join(", ")
        ),
    );
    write(&place.join("Cargo.lock"), &fs::read_to_string(root.join("Cargo.lock")).expect("a lock file"));
    let search = root.join("tests/simulation/run.rs");
    for (at, defect) in DEFECTS.iter().enumerate() {
        let package = place.join(format!("defect-{at}"));
        write(
            &package.join("Cargo.toml"),
            &format!(
                "[package]\nname = \"defect-{at}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\nname = \
                 \"seqgate_protocol\"\n\n[[bin]]\nname = \"defect-{at}\"\npath = {search:?}\n\n[dependencies]\n{dependencies}\n"
            ),
        );
        copy(&root.join("protocol/src"), &package.join("src"), defect);
    }
    place
}

/// Copies sources, and puts the defect in where its texts stand.
fn copy(from: &Path, to: &Path, (name, edits): &Defect) {
    let mut changed = vec![0; edits.len()];
    let mut places = vec![PathBuf::new()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(from.join(&place)).expect("sources") {
            let path = place.join(entry.expect("a file").file_name());
            if from.join(&path).is_dir() {
                places.push(path);
                continue;
            }
            let mut text = fs::read_to_string(from.join(&path)).expect("a source file");
            for (at, (_, right, wrong)) in edits.iter().enumerate().filter(|(_, edit)| path == Path::new(edit.0)) {
                changed[at] += text.matches(right).count();
                text = text.replace(right, wrong);
            }
            write(&to.join(&path), &text);
        }
    }
    assert!(changed.iter().all(|times| *times == 1), "{name}: its texts stand {changed:?} times in the sources");
}

/// What has not changed keeps its time, and is not built again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
    fs::write(path, text).expect("a file can be written");
}

fn build(workspace: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    // What the outer build has set is not for this one.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") || name == "RUSTFLAGS") {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let output = cargo.args(["build", "--bins", "--quiet"]).current_dir(workspace).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn is_found(workspace: &Path, at: usize) -> bool {
    let search = workspace.join(format!("target/debug/defect-{at}"));
    let output = Command::new(search).args(["--seeds", SEEDS]).output().expect("the search runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}: {}", DEFECTS[at].0, said.lines().last().unwrap_or("nothing"));
    // 1: something was found. Anything else is no search.
    output.status.code() == Some(1)
}
