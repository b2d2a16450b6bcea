use std::time::Duration;

use seqgate_protocol::event::{
    Event, Evidence, GivenUp, HeldFor, LookUpEvent, LookUpKind, LookUpOutcome, Rule, Verdict,
};
use seqgate_protocol::sequencing::{BatchId, ErrorCode, ProducerEpoch, ProducerId, Sequence, SequenceRange, TopicRef};
use serde_json::Value;

use super::super::tests::{batch, client, ended, event as journalled};
use super::*;

fn at(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

fn shown(time: SystemTime) -> String {
    let mut out = String::new();
    timestamp(&mut out, time);
    out
}

fn line_of(mut entry: Entry) -> String {
    entry.time = at(1_795_494_896_000_042);
    let mut out = String::new();
    event(&mut out, &entry);
    out
}

#[test]
fn time_is_rfc_3339_in_microseconds() {
    assert_eq!(shown(at(0)), "1970-01-01T00:00:00.000000Z");
    assert_eq!(shown(at(951_782_399_999_999)), "2000-02-28T23:59:59.999999Z");
    assert_eq!(shown(at(951_782_400_000_000)), "2000-02-29T00:00:00.000000Z");
    assert_eq!(shown(at(1_795_494_896_000_042)), "2026-11-24T04:34:56.000042Z");
    assert_eq!(shown(at(4_107_542_400_000_000)), "2100-03-01T00:00:00.000000Z");
    assert_eq!(shown(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000Z");
    assert_eq!(shown(at(u64::MAX / 2)), "9999-12-31T23:59:59.775807Z");
}

#[test]
fn a_duplicate_shows_the_fields_in_their_order() {
    let client = client();
    client.note_client_id("pay-1");
    assert_eq!(
        line_of(batch(b"orders", &client)),
        "{\"time\":\"2026-11-24T04:34:56.000042Z\",\"event\":\"duplicate\",\"verdict\":\"duplicate\",\
         \"action\":\"answered\",\"connection\":7,\"client_addr\":\"127.0.0.1:5000\",\"client_id\":\"pay-1\",\
         \"topic\":\"orders\",\"partition\":3,\"producer_id\":1000,\"producer_epoch\":0,\"base_sequence\":5,\
         \"last_sequence\":6,\"expected_sequence\":7,\"records\":2,\"bytes\":79,\"crc\":1632510232,\
         \"base_offset\":42,\"error_code\":0,\"reason\":\"D12\"}\n"
    );
}

#[test]
fn each_kind_of_event_shows_what_is_known_of_it_and_nothing_else() {
    let topic = TopicRef::Name(b"orders");
    let (producer_id, epoch) = (ProducerId::new(1000), ProducerEpoch::new(0));
    let batch = "\"topic\":\"orders\",\"partition\":3,\"producer_id\":1000,\"producer_epoch\":0,\"base_sequence\":5,\
                 \"last_sequence\":6,\"expected_sequence\":7,\"records\":2,\"bytes\":79,\"crc\":1632510232,\"base_offset\":42";
    let of_batch = |verdict: &str, rule: &str| {
        (
            verdict.to_owned(),
            format!("\"verdict\":\"{verdict}\",\"action\":\"forwarded\","),
            format!("{batch},\"reason\":\"{rule}\""),
        )
    };
    let of_producer = |kind: &str, epoch: i16| {
        (kind.to_owned(), String::new(), format!("\"producer_id\":1000,\"producer_epoch\":{epoch}"))
    };
    let ended = "\"topic\":\"orders\",\"partition\":3,\"reason\":\"T7\",\"evidence\":\"regression\"";
    for (event, (kind, before, behind)) in [
        (journalled(topic, Verdict::Retry, Rule::D11), of_batch("retry", "D11")),
        (journalled(topic, Verdict::Mismatch, Rule::D15), of_batch("mismatch", "D15")),
        (Event::ProducerNew { producer_id, epoch }, of_producer("producer_new", 0)),
        (Event::ProducerNew { producer_id, epoch: ProducerEpoch::new(2) }, of_producer("epoch_bump", 2)),
        (
            Event::ProofsEnded { topic, partition: 3, evidence: Evidence::Regression },
            ("proofs_ended".to_owned(), String::new(), ended.to_owned()),
        ),
    ] {
        let line = line_of(Entry::of(&event, &client(), false).unwrap());
        let expected = format!(
            "{{\"time\":\"2026-11-24T04:34:56.000042Z\",\"event\":\"{kind}\",{before}\"connection\":7,\
             \"client_addr\":\"127.0.0.1:5000\",{behind}}}\n"
        );
        assert_eq!(line, expected);
    }
}

/// There is one vocabulary, and it is the protocol's; the journal adds a word for what is ordinary.
#[test]
fn a_line_is_called_what_its_verdict_is_called() {
    for verdict in Verdict::ALL {
        let event = journalled(TopicRef::Name(b"orders"), verdict, Rule::D12);
        let line: Value = serde_json::from_str(&line_of(Entry::of(&event, &client(), true).unwrap())).unwrap();
        let is_ordinary = matches!(verdict, Verdict::InOrder | Verdict::Untracked);
        assert_eq!(line["event"], if is_ordinary { "batch" } else { verdict.name() });
        assert_eq!(line["verdict"], verdict.name());
    }
}

#[test]
fn what_the_proxy_does_of_itself_shows_what_for_and_what_it_came_to() {
    let topic = TopicRef::Name(b"orders");
    let range = SequenceRange::from_wire(5, 1).unwrap();
    let id = BatchId { producer_id: ProducerId::new(1000), epoch: ProducerEpoch::new(0), range };
    let found = LookUpEvent {
        kind: LookUpKind::WarmUp,
        outcome: LookUpOutcome::Found,
        topic,
        partition: 3,
        batch: Some(id),
        expected: None,
        base_offset: Some(42),
        error: None,
        given_up: None,
        took: Duration::from_micros(1_020),
    };
    let of_gap = LookUpEvent {
        kind: LookUpKind::Enforce,
        outcome: LookUpOutcome::NotAllowed,
        expected: Sequence::new(4),
        base_offset: None,
        error: Some(ErrorCode(29)),
        ..found
    };
    let (outcome, given_up, took) = (LookUpOutcome::GivenUp, Some(GivenUp::Late), Duration::from_secs(5));
    let late = LookUpEvent { outcome, given_up, took, base_offset: None, ..found };
    let batch = "\"topic\":\"orders\",\"partition\":3,\"producer_id\":1000,\"producer_epoch\":0,\"base_sequence\":5,\
                 \"last_sequence\":6,";
    let held = Event::Held { topic, partition: 3, batch: id, waits_for: HeldFor::OneAtATime };
    for (event, kind, behind) in [
        (
            Event::LookedUp(found),
            "own_request",
            "\"base_offset\":42,\"kind\":\"warm_up\",\"outcome\":\"found\",\"took_ms\":1.020",
        ),
        (
            Event::LookedUp(of_gap),
            "own_request",
            "\"expected_sequence\":4,\"error_code\":29,\"kind\":\"enforce\",\"outcome\":\"not_allowed\",\"took_ms\":1.020",
        ),
        (
            Event::LookedUp(late),
            "own_request",
            "\"kind\":\"warm_up\",\"outcome\":\"given_up\",\"given_up\":\"late\",\"took_ms\":5000.000",
        ),
        (held, "held", "\"waits_for\":\"one_at_a_time\""),
    ] {
        let expected = format!(
            "{{\"time\":\"2026-11-24T04:34:56.000042Z\",\"event\":\"{kind}\",\"connection\":7,\
             \"client_addr\":\"127.0.0.1:5000\",{batch}{behind}}}\n"
        );
        assert_eq!(line_of(Entry::of(&event, &client(), false).unwrap()), expected);
    }
}

#[test]
fn the_end_of_a_connection_shows_its_totals() {
    let line = line_of(ended(&client()));
    let expected = "{\"time\":\"2026-11-24T04:34:56.000042Z\",\"event\":\"connection\",\"connection\":7,\
         \"client_addr\":\"127.0.0.1:5000\",\"listener\":\"default\",\"outcome\":\"client\",\"requests\":2,\
         \"responses\":1,\"bytes_to_broker\":300,\"bytes_to_client\":50,\"age_ms\":";
    assert!(line.starts_with(expected), "{line}");
}

#[test]
fn hostile_names_stay_on_their_line_and_within_bounds() {
    let names: [&[u8]; 5] = [b"a\"b", b"a\n{\"event\":\"stop\"}\n", b"\0\x1b[31m\x7f", b"\xff\xfe", &[0xff; 20_000]];
    for name in names {
        let client = client();
        client.note_client_id(&"\"\\\u{1}\u{85}\u{2028}x\n".repeat(1_000));
        let line = line_of(batch(name, &client));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.len() < 8 * 1024, "{} bytes", line.len());
        assert!(!line.trim_end().chars().any(char::is_control), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["event"], "duplicate");
        assert_eq!(value["topic"].as_str().unwrap(), name[..name.len().min(255)].escape_ascii().to_string());
        assert_eq!(value["client_id"].as_str().unwrap(), client.client_id().unwrap());
    }
}

#[test]
fn what_the_writer_says_of_itself_is_json_as_well() {
    let mut out = String::new();
    start(&mut out, at(0));
    dropped(&mut out, at(0), 12);
    stop(&mut out, at(0));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["version"]), (&"start".into(), &VERSION.into()));
    assert_eq!((&lines[1]["event"], &lines[1]["count"]), (&"dropped".into(), &12.into()));
    assert_eq!(lines[2]["event"], "stop");
}
