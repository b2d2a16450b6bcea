//! What the search is worth: deliberate defects, each of which it must find.
//!
//! A defect is a change to a copy of the sources, made in the build of this test: what is shipped has no switch for it.
//! The copy has them all, and the environment says which one it goes by.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file below `protocol/src`, a text that stands there once, and what is put in its place: `$IT` is true if this defect
/// is the chosen one. Below `simulation/` it is one of the search itself, where that stands for the relay.
type Edit = (&'static str, &'static str, &'static str);

/// What is wrong, and how it comes about.
type Defect = (&'static str, &'static [Edit]);

/// Where the search itself is, in the copy.
const SEARCH: &str = "simulation";

/// Seeds within which each must be found.
const SEEDS: &str = "10000";

/// What one guard alone would not let through is taken away with all its guards: a transaction's batch proves nothing, is
/// looked up for no proof and keeps its request from being answered; a topic's new id retires the old one in the directory
/// and in the topics. Each of these alone harms nobody, and is not found. Nor would it be found that contents are compared
/// without the epoch: CRC-32C covers it. That late answers contradict as well takes some 200,000 seeds to miss, that a gap
/// is not refused while something of its producer is open some 10,000, and that it is not refused while what fills it waits
/// here more; these have tests of their own.
const DEFECTS: [Defect; 62] = [
    (
        "answers a batch that is in flight",
        &[(
            "sequencing/tracker/observe.rs",
            "        if classified.rule == Rule::D18 && is_explained",
            "        if classified.rule == Rule::D10 && $IT {\n            let (batch, fingerprint) = (batch.id, batch.fingerprint);\n            classified.proof = Some(super::Proof { batch, fingerprint, base_offset: 0, log_append_time: -1, log_start_offset: -1 });\n        }\n        if classified.rule == Rule::D18 && is_explained",
        )],
    ),
    (
        "takes a timeout for an acknowledgement",
        &[(
            "sequencing/tracker/settle.rs",
            "ticket: Ticket, outcome: Outcome, now: Millis) -> Settlement {\n        let Some",
            "ticket: Ticket, outcome: Outcome, now: Millis) -> Settlement {\n        let outcome = match outcome {\n            Outcome::Answered(answer) if answer.error == ErrorCode(7) && $IT => {\n                Outcome::Answered(Answer { error: ErrorCode::NONE, ..answer })\n            }\n            other => other,\n        };\n        let Some",
        )],
    ),
    (
        "calls a timeout an acknowledgement without a proof",
        &[(
            "sequencing/answer.rs",
            "            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Fate::Acked,",
            "            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Fate::Acked,\n            ErrorCode(7) if $IT => Fate::Acked,",
        )],
    ),
    (
        "takes a leader's word for a proof",
        &[("sequencing/tracker/settle.rs", "attempt.acks == Acks::All && ", "(attempt.acks == Acks::All || $IT) && ")],
    ),
    (
        "lets a late answer bring an old epoch back",
        &[(
            "sequencing/tracker/settle.rs",
            "        if id.epoch < entry.epoch {",
            "        if id.epoch < entry.epoch && !$IT {",
        )],
    ),
    (
        "takes a new epoch for the one before",
        &[(
            "sequencing/tracker/settle.rs",
            "        if id.epoch > entry.epoch || entry.is_cold() {",
            "        if $IT && !entry.is_cold() {\n            self.entries[at].epoch = id.epoch;\n        }\n        let entry = &self.entries[at];\n        if id.epoch > entry.epoch || entry.is_cold() {",
        )],
    ),
    (
        "compares no epochs",
        &[
            (
                "sequencing/tracker/classify.rs",
                "        if epoch < entry.epoch {",
                "        if epoch < entry.epoch && !$IT {",
            ),
            (
                "sequencing/tracker/classify.rs",
                "        if epoch > entry.epoch {",
                "        if epoch > entry.epoch && !$IT {",
            ),
        ],
    ),
    (
        "holds a producer id that was handed out for the one before",
        &[(
            "sequencing/handed.rs",
            "epoch >= handed.lowest)",
            "epoch >= handed.lowest && !($IT && epoch == handed.lowest))",
        )],
    ),
    (
        "forgets the generation",
        &[("sequencing/entry.rs", "            self.alone = true;", "            self.alone = !$IT;")],
    ),
    (
        "sends the next batch while one goes alone",
        &[(
            "sequencing/tracker/observe.rs",
            "            return Passage::Hold;",
            "            return if $IT { Passage::Free } else { Passage::Hold };",
        )],
    ),
    (
        "is off by one at the wrap",
        &[
            (
                "sequencing/sequence.rs",
                "        Self(self.0.wrapping_add(count) & Self::MAX)",
                "        Self(if $IT { self.0.wrapping_add(count) % Self::MAX } else { self.0.wrapping_add(count) & Self::MAX })",
            ),
            ("sequencing/sequence.rs", "    pub const fn advance", "    pub fn advance"),
            ("sequencing/sequence.rs", "    pub const fn end", "    pub fn end"),
        ],
    ),
    (
        "answers under the number of another request",
        &[(
            "session/act.rs",
            "produce::answer(request.version, request.correlation_id, &stripped",
            "produce::answer(request.version, request.correlation_id - i32::from($IT), &stripped",
        )],
    ),
    (
        "does not compare contents",
        &[(
            "sequencing/tracker/classify.rs",
            "            && acked.is_some_and(|acked| acked.is_same(batch.fingerprint, -1))",
            "            && acked.is_some_and(|acked| acked.is_same(batch.fingerprint, -1) || $IT)",
        )],
    ),
    (
        "lets no time pass",
        &[(
            "sequencing/tracker/evidence.rs",
            "        now.since(entry.proof_at) >= self.proof_ttl_ms",
            "        now.since(entry.proof_at) >= self.proof_ttl_ms && !$IT",
        )],
    ),
    (
        "counts the time of what is unknown from when it was sent",
        &[(
            "sequencing/tracker/unknown.rs",
            "        kept.since = now;",
            "        kept.since = if $IT { kept.since } else { now };",
        )],
    ),
    (
        "believes late answers",
        &[(
            "sequencing/tracker/settle.rs",
            "        let late = attempt.partition_stamp != partition.stamp\n            ||",
            "        let late = (attempt.partition_stamp != partition.stamp && !$IT)\n            ||",
        )],
    ),
    (
        "does not mind two batches at one place",
        &[(
            "sequencing/intervals.rs",
            "                (true, false, _) | (false, _, false) => return",
            "                (true, false, _) | (false, _, false) if $IT => fit = Fit::Known,\n                (true, false, _) | (false, _, false) => return",
        )],
    ),
    (
        "does not hear that a partition is gone",
        &[
            (
                "sequencing/answer.rs",
                "        matches!(self, Self::UNKNOWN_TOPIC_OR_PARTITION",
                "        !($IT && self != Self::UNKNOWN_TOPIC_ID)\n            && matches!(self, Self::UNKNOWN_TOPIC_OR_PARTITION",
            ),
            ("sequencing/answer.rs", "    pub const fn doubts_the_log", "    pub fn doubts_the_log"),
        ],
    ),
    (
        "takes a topic that was made anew for the old one",
        &[
            (
                "session/learn.rs",
                "                ledger.each_tracker(|tracker| tracker.end_topic(TopicRef::Id(old)));",
                "                ledger.each_tracker(|tracker| if !$IT { tracker.end_topic(TopicRef::Id(old)) });",
            ),
            (
                "sequencing/topics.rs",
                "            (Some(at), None) if self.slab[at].id.is_some() => self",
                "            (Some(at), None) if self.slab[at].id.is_some() && $IT => {}\n            (Some(at), None) if self.slab[at].id.is_some() => self",
            ),
        ],
    ),
    (
        "believes in a cluster that is no more",
        &[(
            "sequencing/tracker/evidence.rs",
            "self.cluster_stamp.wrapping_add(1)",
            "self.cluster_stamp.wrapping_add(u32::from(!$IT))",
        )],
    ),
    (
        "lets an answer go whose proof has ended",
        &[(
            "session/mod.rs",
            "        local.ledger == self.current && self.all",
            "        $IT || local.ledger == self.current && self.all",
        )],
    ),
    (
        "puts back into an answer what is proven no more",
        &[(
            "session/settle.rs",
            " || !self.all_hold(ledger, &stripped.kept, now)",
            " || !$IT && !self.all_hold(ledger, &stripped.kept, now)",
        )],
    ),
    (
        "strips what is new",
        &[("session/act.rs", "|at| observed[at].proof.is_none())", "|at| observed[at].proof.is_none() != $IT)")],
    ),
    (
        "keeps a ticket of what was not answered",
        &[(
            "session/settle.rs",
            "        self.settle_rest(pending.ledger, pending.claims, Outcome::Lost, now);",
            "        if !$IT {\n            self.settle_rest(pending.ledger, pending.claims, Outcome::Lost, now);\n        }",
        )],
    ),
    (
        "calls what follows a refused batch a gap",
        &[(
            "sequencing/tracker/observe.rs",
            "|| entry.follows_refused(base)",
            "|| !$IT && entry.follows_refused(base)",
        )],
    ),
    (
        "rewinds over a duplicate",
        &[(
            "sequencing/window.rs",
            "        (!self.is_empty()).then(|| self.newest.last.advance(1))",
            "        let oldest = self.slots().next().filter(|_| $IT);\n        (!self.is_empty()).then(|| oldest.unwrap_or(&self.newest).last.advance(1))",
        )],
    ),
    (
        "does not know a retry of what is in flight",
        &[(
            "sequencing/tracker/classify.rs",
            "                self.same_pending |= other == range;",
            "                self.same_pending |= other == range && !$IT;",
        )],
    ),
    (
        "forgets what is in flight",
        &[(
            "sequencing/tracker/classify.rs",
            "            State::Pending if attempt.opaque =>",
            "            State::Pending if $IT => {}\n            State::Pending if attempt.opaque =>",
        )],
    ),
    (
        "takes a partition at its word that stands twice in a request",
        &[("session/admit.rs", "filter(|pair| pair[0] == pair[1])", "filter(|pair| pair[0] == pair[1] && !$IT)")],
    ),
    (
        "looks nothing up of a request that is streamed",
        &[("session/stream.rs", "may_look: self.asks(present),", "may_look: self.asks(present) && !$IT,")],
    ),
    (
        "looks up what stands twice in a request that is streamed",
        &[("sequencing/tracker/settle.rs", "= (true, false);", "= (true, attempt.may_be_old && $IT);")],
    ),
    (
        "answers batches of transactions",
        &[
            ("session/act.rs", "            && !transactional\n", "            && (!transactional || $IT)\n"),
            (
                "sequencing/tracker/observe.rs",
                "            && !batch.transactional\n            && sender.acks",
                "            && (!batch.transactional || $IT)\n            && sender.acks",
            ),
            (
                "sequencing/tracker/settle.rs",
                " && !attempt.batch.transactional;",
                " && (!attempt.batch.transactional || $IT);",
            ),
        ],
    ),
    (
        "takes what lies above the high watermark for committed",
        &[(
            "wire/log/fetch_reader.rs",
            " && self.last_offset < self.found.high_watermark {",
            " && (self.last_offset < self.found.high_watermark || $IT) {",
        )],
    ),
    (
        "takes a batch of another epoch in the log for the one that was sent",
        &[
            (
                "session/look_up/answers.rs",
                "|wanted: &&Wanted| wanted.batch.id == id && wanted",
                "|wanted: &&Wanted| wanted.batch.id == BatchId { epoch: if $IT { wanted.batch.id.epoch } else { id.epoch }, ..id } && wanted",
            ),
            (
                "session/look_up/answers.rs",
                "        let proof = Proof {\n            batch: id,",
                "        let id = if $IT { wanted.batch.id } else { id };\n        let proof = Proof {\n            batch: id,",
            ),
        ],
    ),
    (
        "compares no contents with the log",
        &[(
            "session/look_up/answers.rs",
            "wanted.batch.fingerprint.is_of_same(stored, is_stamped);",
            "(wanted.batch.fingerprint.is_of_same(stored, is_stamped) || $IT);",
        )],
    ),
    (
        "takes the log of a topic that was made anew for the old one's",
        &[(
            "sequencing/tracker/log.rs",
            "            (serial, stamp) == (mark.partition_serial, mark.stamp)",
            "            (serial, stamp) == (mark.partition_serial, mark.stamp) || $IT",
        )],
    ),
    (
        "answers for what was found in a log that is doubted since",
        &[(
            "session/look_up/ledger.rs",
            "                tracker.log_stands(topic, partition, &found.mark, (id.producer_id, id.epoch), now)\n                    &&",
            "                ($IT || tracker.log_stands(topic, partition, &found.mark, (id.producer_id, id.epoch), now))\n                    &&",
        )],
    ),
    (
        "believes the beginning of an answer that is rubbish",
        &[("session/look_up/answers.rs", "        if read.failed {", "        if read.failed && !$IT {")],
    ),
    (
        "holds a producer id in a log for the one that was handed out since",
        &[(
            "sequencing/tracker/log.rs",
            "            && !self.handed.has_ended(producer, epoch, mark.handed_serial)",
            "            && ($IT || !self.handed.has_ended(producer, epoch, mark.handed_serial))",
        )],
    ),
    (
        "looks into the log for batches of transactions",
        &[
            (
                "sequencing/tracker/log.rs",
                "!sender.may_look || batch.transactional ||",
                "!sender.may_look || batch.transactional && !$IT ||",
            ),
            (
                "sequencing/tracker/observe.rs",
                " || follows_old) && !batch.transactional;",
                " || follows_old) && (!batch.transactional || $IT);",
            ),
            ("session/look_up/answers.rs", " && !view.is_transactional())", " && (!view.is_transactional() || $IT))"),
        ],
    ),
    (
        "asks in observe mode",
        &[(
            "session/look_up/before.rs",
            "            && present.policy.mode != Mode::Observe\n            && !self.is_unsure()",
            "            && (present.policy.mode != Mode::Observe || $IT)\n            && !self.is_unsure()",
        )],
    ),
    (
        "believes a proof of an older generation",
        &[("sequencing/tracker/log.rs", "        entry.has_of_now(broker,", "        $IT || entry.has_of_now(broker,")],
    ),
    (
        "believes a proof of an older generation once its producer is acknowledged again",
        &[("sequencing/entry.rs", "is_some_and(|acked| !acked.older)", "is_some_and(|acked| $IT || !acked.older)")],
    ),
    (
        "keeps a ticket of what was kept back",
        &[(
            "session/settle.rs",
            "            self.settle_claim(unresolved.ledger, claim, Outcome::Answered(answer), now);",
            "            self.settle_claim(unresolved.ledger, Claim { settled: $IT, ..claim }, Outcome::Answered(answer), now);",
        )],
    ),
    (
        "refuses a gap and asks nobody",
        &[(
            "session/observe.rs",
            "            if self.would_be_refused((topic, partition), &batch, observation.expected, present.now) {",
            "            if $IT || self.would_be_refused((topic, partition), &batch, observation.expected, present.now) {",
        )],
    ),
    (
        "asks for producers whoever does not understand it",
        &[
            (
                "session/look_up/gap.rs",
                "            Ok(true) => self.step",
                "            Ok(known) if known || $IT => self.step",
            ),
            (
                "session/look_up/gap.rs",
                "            Ok(false) | Err(_) => self.outcome",
                "            Ok(_) | Err(_) => self.outcome",
            ),
        ],
    ),
    (
        "believes whoever does not lead the partition",
        &[(
            "session/look_up/gap.rs",
            "            Ok(known) if known.is_some_and(refuses) => self.step = Step::End,",
            "            Ok(known) if known.is_some_and(refuses) && $IT => self.outcome = Some(LookUpOutcome::Found),\n            Ok(known) if known.is_some_and(refuses) => self.step = Step::End,",
        )],
    ),
    (
        "believes what stands beside an error",
        &[(
            "wire/log/producers.rs",
            "if index == self.partition && error == 0 {",
            "if index == self.partition && (error == 0 || $IT) {",
        )],
    ),
    (
        "compares no epochs with what the leader knows",
        &[(
            "session/look_up/gap.rs",
            "            known.epoch == batch.id.epoch &&",
            "            (known.epoch == batch.id.epoch || $IT) &&",
        )],
    ),
    (
        "compares no sequences with what the leader knows",
        &[("session/look_up/gap.rs", "&& next == Some(gap.expected) &&", "&& (next == Some(gap.expected) || $IT) &&")],
    ),
    (
        "takes every producer for young",
        &[(
            "session/look_up/gap.rs",
            "&& known.last_timestamp > gap.younger_than",
            "&& (known.last_timestamp > gap.younger_than || $IT)",
        )],
    ),
    (
        "does not look again at what is known once the leader has answered",
        &[(
            "session/observe.rs",
            "        let observe = |tracker: &mut crate::sequencing::Tracker| {",
            "        if $IT && self.refusable.is_some() {\n            return Observed { batch: Some(batch), refused: true, ..Observed::new(Rule::D18, &entry.records) };\n        }\n        let observe = |tracker: &mut crate::sequencing::Tracker| {",
        )],
    ),
    (
        "refuses a gap where its leader might refuse it for another reason",
        &[(
            "sequencing/tracker/enforce.rs",
            "            && !partition.refuses",
            "            && (!partition.refuses || $IT)",
        )],
    ),
    (
        "lets a batch overtake the first one of its producer",
        &[(
            "sequencing/tracker/observe.rs",
            "            (true, _) => Passage::Hold,",
            "            (true, _) if $IT => Passage::Free,\n            (true, _) => Passage::Hold,",
        )],
    ),
    (
        "makes a batch wait for one that went up the same connection",
        &[(
            "sequencing/tracker/observe.rs",
            "firsts.all(|(_, first)| first.connection != sender.connection &&",
            "firsts.all(|(_, first)| (first.connection != sender.connection || $IT) &&",
        )],
    ),
    (
        "lets what waited for a first batch go that was lost",
        &[(
            "sequencing/tracker/observe.rs",
            "            (false, true) => Passage::Reset,",
            "            (false, true) if $IT => Passage::Free,\n            (false, true) => Passage::Reset,",
        )],
    ),
    (
        "lets a first batch wait for ever",
        &[(
            "session/observe.rs",
            "        present.guards\n            && present.policy.mode",
            "        (present.guards || $IT)\n            && present.policy.mode",
        )],
    ),
    (
        "lets an answer overtake one that is kept back",
        &[(
            "simulation/proxy/back.rs",
            "        if self.connections[at].back.is_empty() {\n            return Err(frame);",
            "        if self.connections[at].back.is_empty() || $IT {\n            return Err(frame);",
        )],
    ),
    (
        "gives an answer twice that was kept back",
        &[(
            "simulation/proxy/back.rs",
            "        self.give_settled(at, settled, settle, frame, &resolved, true);",
            "        if $IT {\n            self.deliver(at, frame.clone());\n        }\n        self.give_settled(at, settled, settle, frame, &resolved, true);",
        )],
    ),
    (
        "has nothing wait that is decided on by its front",
        &[(
            "session/by_head.rs",
            " || observed.passage != Passage::Free {",
            " || observed.passage != Passage::Free && !$IT {",
        )],
    ),
    (
        "passes on by its front what it could answer",
        &[(
            "session/by_head.rs",
            "        if observed.proof.is_some() || observed",
            "        if observed.proof.is_some() && !$IT || observed",
        )],
    ),
    (
        "takes the first of several entries for the only one",
        &[(
            "session/by_head.rs",
            "    if !walk.has_only_empty_tags_left() {",
            "    if !walk.has_only_empty_tags_left() && !$IT {",
        )],
    ),
];

#[test]
fn every_deliberate_defect_is_found() {
    let place = workspace();
    build(&place);
    let missed: Vec<&str> =
        DEFECTS.iter().enumerate().filter(|(at, _)| !is_found(&place, *at)).map(|(_, it)| it.0).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

/// A copy of the sources with all defects, of which the environment chooses one, and the search over it.
fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("defects");
    let dependencies = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace is there");
    let line = |name: &str| dependencies.lines().find(|line| line.starts_with(name)).expect("a dependency").to_owned();
    let lines = ["crc32c = ", "foldhash = ", "hashbrown = ", "thiserror = "].map(line).join("\n");
    let search = place.join("simulation/run.rs");
    write(
        &place.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"defects\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\nname = \
             \"seqgate_protocol\"\n\n[[bin]]\nname = \"defects\"\npath = {search:?}\n\n[dependencies]\n{lines}\n\n\
             [workspace]\n\n[profile.dev]\nopt-level = 2\ndebug = false\nincremental = false\n",
        ),
    );
    write(&place.join("Cargo.lock"), &fs::read_to_string(root.join("Cargo.lock")).expect("a lock file"));
    copy(&root.join("protocol/src"), &place.join("src"), "");
    copy(&root.join("tests/simulation"), &place.join(SEARCH), SEARCH);
    let memory = fs::read_to_string(root.join("tests/golden/memory.rs")).expect("a source file");
    write(&place.join("golden/memory.rs"), &memory);
    place
}

/// Copies sources, and puts the defects in where their texts stand. `under`: what their files' names begin with.
fn copy(from: &Path, to: &Path, under: &str) {
    let is_here = |(_, edit): &(usize, &Edit)| edit.0.starts_with(SEARCH) == (under == SEARCH);
    let all = DEFECTS.iter().enumerate().flat_map(|(at, it)| it.1.iter().map(move |edit| (at, edit)));
    let mut edits: Vec<(usize, &Edit)> = all.filter(is_here).collect();
    let mut places = vec![PathBuf::new()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(from.join(&place)).expect("sources") {
            let path = place.join(entry.expect("a file").file_name());
            if from.join(&path).is_dir() {
                places.push(path);
                continue;
            }
            let mut text = fs::read_to_string(from.join(&path)).expect("a source file");
            edits.retain(|(at, (file, right, wrong))| {
                let is_here = Path::new(under).join(&path) == Path::new(file);
                if is_here {
                    let times = text.matches(right).count();
                    assert_eq!(times, 1, "{}: {right:?} stands {times} times in {file}", DEFECTS[*at].0);
                    text = text.replace(right, &wrong.replace("$IT", &format!("{}::is_wrong({at})", owner(under))));
                }
                !is_here
            });
            if under.is_empty() && path == Path::new("lib.rs") {
                text += CHOICE;
            }
            write(&to.join(&path), &text);
        }
    }
    assert!(edits.is_empty(), "no such files: {edits:?}");
}

/// Where the sources of a folder find out which defect was chosen.
fn owner(under: &str) -> &'static str {
    if under.is_empty() { "crate" } else { "seqgate_protocol" }
}

/// Whether a defect is the one that was chosen.
const CHOICE: &str = r#"
#[allow(missing_docs)]
pub fn is_wrong(defect: usize) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var("DEFECT").ok()?.parse().ok());
    *CHOSEN == Some(defect)
}
"#;

/// What has not changed keeps its time, and is not built again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
    fs::write(path, text).expect("a file can be written");
}

fn build(place: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    // What the outer build has set is not for this one.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") || name == "RUSTFLAGS") {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let output = cargo.args(["build", "--bins", "--quiet"]).current_dir(place).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn is_found(place: &Path, at: usize) -> bool {
    let search = place.join("target/debug/defects");
    let output =
        Command::new(search).args(["--seeds", SEEDS]).env("DEFECT", at.to_string()).output().expect("the search runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}: {}", DEFECTS[at].0, said.lines().last().unwrap_or("nothing"));
    // 1: something was found. Anything else is no search.
    output.status.code() == Some(1)
}
