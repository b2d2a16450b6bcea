//! Looks into the log: what the broker is asked, what its answers come to, and what the client sees of it, which is
//! nothing but the truth.

use bytes::Bytes;

use crate::memory::BLOCK_BYTES;
use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

pub(crate) const LIST_OFFSETS: i16 = 2;

/// A producer's batch as it stands in the log.
pub(crate) fn stored(batch: &Bytes, offset: i64) -> Vec<u8> {
    [&offset.to_be_bytes(), &batch[8..]].concat()
}

/// The proxy asks for the first record of the batch's time; returns the number that the answer must repeat.
pub(crate) fn asked_offset(served: &mut Peer) -> i32 {
    asked_offset_of(served, 1_700_000_000_000)
}

/// There is none, and it asks for the first one of a time before that, as far as clocks may be apart.
pub(crate) fn asked_earlier_offset(served: &mut Peer) -> i32 {
    asked_offset_of(served, 1_699_999_990_000)
}

fn asked_offset_of(served: &mut Peer, time: i64) -> i32 {
    let frame = served.frame();
    assert_eq!(frame[4..8], [LIST_OFFSETS.to_be_bytes(), 2_i16.to_be_bytes()].concat());
    assert_eq!(frame[frame.len() - 8..], time.to_be_bytes());
    correlation_of(&frame)
}

/// The proxy asks for the log from `offset` on; returns the number that the answer must repeat.
pub(crate) fn asked_log(served: &mut Peer, offset: i64) -> i32 {
    let frame = served.frame();
    assert_eq!(frame[4..8], [FETCH.to_be_bytes(), 5_i16.to_be_bytes()].concat());
    // Behind it: log start, bytes at most.
    let at = frame.len() - 20;
    assert_eq!(frame[at..at + 8], offset.to_be_bytes());
    correlation_of(&frame)
}

pub(crate) fn listed(correlation: i32, error: i16, offset: i64) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0];
    body.extend(error.to_be_bytes());
    body.extend((-1_i64).to_be_bytes());
    body.extend(offset.to_be_bytes());
    response(correlation, &body)
}

pub(crate) fn fetched(correlation: i32, error: i16, high_watermark: i64, records: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend(error.to_be_bytes());
    body.extend(high_watermark.to_be_bytes());
    body.extend(high_watermark.to_be_bytes());
    body.extend(0_i64.to_be_bytes());
    body.extend([0, 0, 0, 0]);
    let records = records.concat();
    body.extend(i32::try_from(records.len()).unwrap().to_be_bytes());
    body.extend(records);
    response(correlation, &body)
}

/// The outcome of a batch was not told, and the broker is lost: 0 is at offset 10, 1 is unknown.
fn unknown(scene: &Scene) -> (Peer, Peer) {
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let lost = produce_one(1, batch(7, 1, 1));
    client.send(&lost);
    served.expect(&lost);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    scene.pair()
}

pub(crate) fn own(scene: &Scene, kind: &str, outcome: &str) -> u64 {
    scene.metric(&format!("own_requests_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}"))
}

#[test]
fn batch_of_unknown_outcome_is_looked_up_before_its_retry_goes() {
    let scene = Scene::new();
    let (mut client, mut served) = unknown(&scene);
    let retry = batch(7, 1, 1);
    // The request behind it waits in its place.
    client.send(&[produce_one(2, retry.clone()), REQUEST.to_vec()].concat());
    let asked = asked_log(&mut served, 11);
    served.send(&fetched(asked, 0, 12, &[stored(&retry, 11)]));
    client.expect(&produced_one(2, 0, 11));
    served.expect(&REQUEST);
    served.send(&RESPONSE);
    client.expect(&RESPONSE);
    assert_eq!(own(&scene, "resolve", "found"), 1);
    // It is known now.
    client.send(&produce_one(3, retry));
    client.expect(&produced_one(3, 0, 11));
    served.silent();
    scene.end(&[]);
}

#[test]
fn batch_that_does_not_stand_in_the_log_goes_to_the_broker() {
    let (other_content, later) = (Bytes::from_static(b"other"), batch(7, 1, 1));
    let other_crc = batch_of(7, 0, 1, &[other_content]);
    let other_epoch = batch_of(7, 1, 1, &[Bytes::from_static(b"value")]);
    let longer = batch(7, 1, 2);
    let cases: [(&str, i64, &[Vec<u8>]); 6] = [
        ("nothing", 11, &[]),
        ("above the high watermark", 11, &[stored(&later, 11)]),
        ("another content", 12, &[stored(&other_crc, 11)]),
        ("another epoch", 12, &[stored(&other_epoch, 11)]),
        ("another length", 13, &[stored(&longer, 11)]),
        ("another producer", 12, &[stored(&batch(8, 1, 1), 11)]),
    ];
    for (name, high_watermark, records) in cases {
        println!("{name}");
        let scene = Scene::new();
        let (mut client, mut served) = unknown(&scene);
        client.send(&produce_one(2, later.clone()));
        let asked = asked_log(&mut served, 11);
        served.send(&fetched(asked, 0, high_watermark, records));
        served.expect(&produce_one(2, later.clone()));
        served.send(&produced_one(2, 0, 20));
        client.expect(&produced_one(2, 0, 20));
        assert_eq!(own(&scene, "resolve", "not_found"), 1, "{name}");
        scene.end(&[]);
    }
}

#[test]
fn refused_batch_that_stands_in_the_log_is_acknowledged() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let batches: Vec<_> = (0..3).map(|base| batch(7, base, 1)).collect();
    // The broker knows the last of them only; what is asked behind them waits for its turn.
    let sent: Vec<_> = (0..3).map(|base: i32| produce_one(base, batches[base as usize].clone())).collect();
    client.send(&[sent.concat(), REQUEST.to_vec()].concat());
    served.expect(&[sent.concat(), REQUEST.to_vec()].concat());
    served.send(&[produced_one(0, 45, -1), produced_one(1, 45, -1), produced_one(2, 0, 32)].concat());
    served.send(&RESPONSE);
    let asked = asked_offset(&mut served);
    client.silent();
    served.send(&listed(asked, 0, 29));
    let asked = asked_log(&mut served, 29);
    client.silent();
    let records: Vec<_> = (30..).zip(&batches).map(|(offset, batch)| stored(batch, offset)).collect();
    served.send(&fetched(asked, 0, 33, &records));
    let answers = [produced_one(0, 0, 30), produced_one(1, 0, 31), produced_one(2, 0, 32), RESPONSE.to_vec()];
    client.expect(&answers.concat());
    assert_eq!(own(&scene, "resolve", "found"), 1, "one look tells of both");
    served.silent();
    scene.end(&[]);
}

#[test]
fn refusal_of_a_batch_that_is_nowhere_goes_through_as_it_came() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let sent = [produce_one(0, batch(7, 0, 1)), REQUEST.to_vec()].concat();
    client.send(&sent);
    served.expect(&sent);
    served.send(&[produced_one(0, 45, -1), RESPONSE.to_vec()].concat());
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, -1));
    let asked = asked_earlier_offset(&mut served);
    served.send(&listed(asked, 0, -1));
    client.expect(&[produced_one(0, 45, -1), RESPONSE.to_vec()].concat());
    assert_eq!(own(&scene, "resolve", "not_found"), 1);
    scene.end(&[]);
}

/// A batch as it stands in the log of a topic that stamps append times: its checksum is another one, and no time in it is its
/// producer's.
fn stamped(batch: &Bytes, offset: i64, append_time: i64) -> Vec<u8> {
    let mut stored = stored(batch, offset);
    stored[22] |= 0x08;
    stored[27..35].copy_from_slice(&append_time.to_be_bytes());
    stored[35..43].copy_from_slice(&append_time.to_be_bytes());
    let crc = crc32c::crc32c(&stored[21..]);
    stored[17..21].copy_from_slice(&crc.to_be_bytes());
    stored
}

/// The client's clock is ahead of the broker's, which stores the batch before it was made, as it were.
#[test]
fn batch_of_a_client_whose_clock_is_ahead_is_found_where_append_times_are_stamped() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    client.send(&produce_one(1, batch(7, 4, 1)));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, -1));
    let asked = asked_earlier_offset(&mut served);
    served.send(&listed(asked, 0, 40));
    // One batch tells that the topic stamps; all that follow may be the one.
    let asked = asked_log(&mut served, 40);
    let at = 1_699_999_998_000;
    served.send(&fetched(asked, 0, 42, &[stamped(&batch(8, 9, 1), 40, at)]));
    let asked = asked_log(&mut served, 41);
    served.send(&fetched(asked, 0, 42, &[stamped(&batch(7, 4, 1), 41, at + 1)]));
    let answer = client.frame();
    assert_eq!(answer[answer.len() - 28 - 2..answer.len() - 28], 0_i16.to_be_bytes());
    assert_eq!(answer[answer.len() - 28..answer.len() - 20], 41_i64.to_be_bytes());
    served.silent();
    assert_eq!(own(&scene, "warm_up", "found"), 1);
    scene.end(&[]);
}

#[test]
fn one_batch_is_enough_to_tell_that_a_log_keeps_its_producers_times() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    for base in [4, 6] {
        let sent = produce_one(base, batch(base.into(), base, 1));
        client.send(&sent);
        let asked = asked_offset(&mut served);
        served.send(&listed(asked, 0, -1));
        if base == 4 {
            let asked = asked_earlier_offset(&mut served);
            served.send(&listed(asked, 0, 40));
            let asked = asked_log(&mut served, 40);
            served.send(&fetched(asked, 0, 90, &[stored(&batch(8, 9, 1), 40)]));
        }
        served.expect(&sent);
        served.send(&produced_one(base, 0, 90 + i64::from(base)));
        client.expect(&produced_one(base, 0, 90 + i64::from(base)));
    }
    assert_eq!(own(&scene, "warm_up", "not_found"), 2);
    scene.end(&[]);
}

#[test]
fn producer_that_is_not_known_makes_the_log_known() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    // A retry, of what another proxy was told or nobody.
    client.send(&produce_one(1, batch(7, 4, 1)));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, 40));
    let asked = asked_log(&mut served, 40);
    let records = [stored(&batch(8, 9, 1), 40), stored(&batch(7, 4, 1), 41), stored(&batch(9, 0, 2), 42)];
    served.send(&fetched(asked, 0, 44, &records));
    client.expect(&produced_one(1, 0, 41));
    assert_eq!(own(&scene, "warm_up", "found"), 1);
    // Everybody else's as well, on any connection.
    let (mut other, other_served) = scene.pair();
    for (correlation, (batch, offset)) in (1..).zip([(batch(8, 9, 1), 40), (batch(9, 0, 2), 42)]) {
        other.send(&produce_one(correlation, batch));
        other.expect(&produced_one(correlation, 0, offset));
    }
    other_served.silent();
    scene.end(&[]);
}

#[test]
fn broker_that_will_not_say_is_asked_no_more_and_the_batch_goes() {
    for (error, outcome) in [(29, "not_allowed"), (1, "failed"), (6, "failed"), (-1, "failed")] {
        let scene = Scene::new();
        let (mut client, mut served) = unknown(&scene);
        let retry = produce_one(2, batch(7, 1, 1));
        client.send(&retry);
        let asked = asked_log(&mut served, 11);
        served.send(&fetched(asked, error, -1, &[]));
        served.expect(&retry);
        served.send(&produced_one(2, 0, 11));
        client.expect(&produced_one(2, 0, 11));
        assert_eq!(own(&scene, "resolve", outcome), 1, "{error}");
        if outcome == "not_allowed" {
            scene.proxy.wait_for_log("a client may not read a topic that it writes to");
        }
        scene.end(&[]);
    }
}

#[test]
fn answer_that_cannot_be_read_is_no_answer() {
    let scene = Scene::new();
    let (mut client, mut served) = unknown(&scene);
    let retry = produce_one(2, batch(7, 1, 1));
    client.send(&retry);
    let asked = asked_log(&mut served, 11);
    let whole = fetched(asked, 0, 12, &[stored(&batch(7, 1, 1), 11)]);
    served.send(&frame(&[&whole[4..], b"more"].concat()));
    served.expect(&retry);
    served.send(&produced_one(2, 0, 11));
    client.expect(&produced_one(2, 0, 11));
    assert_eq!(own(&scene, "resolve", "failed"), 1);
    scene.end(&[]);
}

#[test]
fn connection_that_ends_while_the_log_is_asked_leaves_nothing_open() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let sent = produce_one(0, batch(7, 0, 1));
    client.send(&sent);
    served.expect(&sent);
    served.send(&produced_one(0, 45, -1));
    asked_offset(&mut served);
    drop(served);
    // What the broker said before it went is the client's.
    client.expect(&produced_one(0, 45, -1));
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    assert_eq!(scene.json("/api/v1/producers?producer_id=7"), serde_json::json!([]));
    scene.end(&[]);
}

#[test]
fn client_that_has_said_all_is_told_what_the_broker_said() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let sent = produce_one(0, batch(7, 0, 1));
    client.send(&sent);
    client.half_close();
    served.expect(&sent);
    served.send(&produced_one(0, 45, -1));
    client.expect(&produced_one(0, 45, -1));
    assert_eq!(served.end(), Ok(()));
    drop(served);
    assert_eq!(client.end(), Ok(()));
    scene.end(&[]);
}

/// One is found, one is refused, and of one the answer never comes.
#[test]
fn each_look_is_told_with_what_it_was_for_and_what_it_came_to() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let scene = Scene::with(&format!("[journal]\nfile = {journal:?}"));
    let (mut client, mut served) = unknown(&scene);
    client.send(&produce_one(2, batch(7, 1, 1)));
    let asked = asked_log(&mut served, 11);
    served.send(&fetched(asked, 0, 12, &[stored(&batch(7, 1, 1), 11)]));
    client.expect(&produced_one(2, 0, 11));
    let refused = produce_one(3, batch(8, 5, 2));
    client.send(&refused);
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 29, -1));
    served.expect(&refused);
    served.send(&produced_one(3, 0, 12));
    client.expect(&produced_one(3, 0, 12));
    client.send(&produce_one(4, batch(9, 6, 1)));
    asked_offset(&mut served);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 2);
    assert_eq!(scene.metric("look_latency_seconds_count"), 3);
    scene.end(&[]);
    let text = std::fs::read_to_string(&journal).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told: Vec<_> = lines.filter(|line| line["event"] == "own_request").collect();
    let names = [
        "kind",
        "outcome",
        "given_up",
        "error_code",
        "topic",
        "partition",
        "producer_id",
        "producer_epoch",
        "base_sequence",
        "last_sequence",
        "base_offset",
    ];
    let found: Vec<_> = told.iter().map(|line| names.map(|name| line[name].to_string()).join(" ")).collect();
    let expected = [
        r#""resolve" "found" null null "t" 0 7 0 1 1 11"#,
        r#""warm_up" "not_allowed" null 29 "t" 0 8 0 5 6 null"#,
        r#""warm_up" "given_up" "closed" null "t" 0 9 0 6 6 null"#,
    ];
    assert_eq!(found, expected);
    assert!(told.iter().all(|line| line["took_ms"].as_f64().is_some_and(|took| took >= 0.0)), "{told:?}");
}

/// The broker has nothing of that request yet.
#[test]
fn answer_is_held_against_the_log_while_a_large_request_begins() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let sent = produce_one(0, batch(7, 0, 1));
    client.send(&sent);
    served.expect(&sent);
    let large = produce_one(1, batch_of(8, 0, 0, &[Bytes::from(vec![0; 200 << 10])]));
    // Less than what it is decided on by.
    client.send(&large[..200]);
    scene.wait_for("its front", || scene.metric("requests_total{api=\"Produce\"}") == 3);
    served.send(&produced_one(0, 45, -1));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, 10));
    let asked = asked_log(&mut served, 10);
    served.send(&fetched(asked, 0, 11, &[stored(&batch(7, 0, 1), 10)]));
    client.expect(&produced_one(0, 0, 10));
    client.send(&large[200..]);
    served.expect(&large);
    served.send(&produced_one(1, 0, 11));
    client.expect(&produced_one(1, 0, 11));
    scene.end(&[]);
}

/// Nobody waits for it any more, so it holds up no other request.
#[test]
fn look_for_an_answer_that_had_to_go_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let mut scene = Scene::with(&format!("[limits]\nhold_bytes_max = \"64KiB\"\n[journal]\nfile = {journal:?}"));
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    let sent = [produce_one(0, batch(7, 0, 1)), request(FETCH, 4, 500, false, &[0; 8])].concat();
    client.send(&sent);
    served.expect(&sent);
    served.send(&produced_one(0, 45, -1));
    asked_offset(&mut served);
    let large = response(500, &vec![0; 1 << 20]);
    served.send(&large);
    client.expect(&[produced_one(0, 45, -1), large].concat());
    client.send(&REQUEST);
    served.expect(&REQUEST);
    scene.wait_for("its end", || own(&scene, "resolve", "given_up") == 1);
    drop((client, served));
    scene.end(&[]);
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"given_up\":\"unwanted\"")).count(), 1, "{text}");
}

/// Without room it sees only what it looks for.
#[test]
fn what_a_look_notes_of_the_log_is_counted_and_bounded() {
    const OTHERS: i64 = 17_000;
    let header = |number: i64| {
        let mut header = vec![0; 61];
        header[..8].copy_from_slice(&number.to_be_bytes());
        header[8..12].copy_from_slice(&49_i32.to_be_bytes());
        header[16] = 2;
        header[43..51].copy_from_slice(&(100_000 + number).to_be_bytes());
        header[57..61].copy_from_slice(&1_i32.to_be_bytes());
        header
    };
    let wanted = batch(7, 4, 1);
    let records: Vec<_> = (0..OTHERS).map(header).chain([stored(&wanted, OTHERS)]).collect();
    for (hold, counted, known) in [("8MiB", 1 << 20, 16_384..=16_390), ("64KiB", BLOCK_BYTES, 100..=4_000)] {
        let mut scene = Scene::with(&format!("limits.hold_bytes_max = \"{hold}\""));
        scene.serve_without_sasl();
        let (mut client, mut served) = scene.pair();
        client.send(&produce_one(1, wanted.clone()));
        let asked = asked_offset(&mut served);
        served.send(&listed(asked, 0, 0));
        let asked = asked_log(&mut served, 0);
        let answer = fetched(asked, 0, OTHERS + 1, &records);
        let (most, rest) = answer.split_at(answer.len() - 1);
        served.send(most);
        scene.wait_for("what it notes", || scene.metric("buffer_bytes") > counted);
        served.send(rest);
        client.expect(&produced_one(1, 0, OTHERS));
        assert!(scene.metric("buffer_bytes") < counted, "it is given back");
        let producers = scene.metric("tracked_producers");
        assert!(known.contains(&producers), "{producers} producers are known");
        scene.end(&[]);
    }
}

#[test]
fn nothing_is_asked_where_nothing_may_be() {
    for toml in ["mode = \"observe\"", "sequencing.look_up = false"] {
        let scene = Scene::with(toml);
        let (mut client, mut served) = unknown(&scene);
        let retry = produce_one(2, batch(7, 1, 1));
        exchange(&mut client, &mut served, &retry, &produced_one(2, 45, -1));
        exchange(&mut client, &mut served, &produce_one(3, batch(8, 5, 1)), &produced_one(3, 45, -1));
        scene.end(&[]);
    }
}
