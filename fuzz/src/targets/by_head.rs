//! A produce request that is decided on by its front, as one of a large batch is.

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId, Millis};
use seqgate_protocol::session::{Mixed, Mode, Policy, Present, Session};
use seqgate_protocol::wire::produce::ProduceRequest;

use super::session::Cluster;

/// The first version with tags in the header.
const FLEXIBLE: i16 = 9;

/// It is decided on only if it holds one entry that an answer will come for, whatever the front ends with; what follows may
/// be anything, and nothing of it is left in the end.
pub fn check(version: i16, body: &[u8], steps: [usize; 2]) {
    let present = Present {
        now: Millis(1_000),
        broker: BrokerGeneration { broker: 0, generation: 0 },
        policy: Policy {
            mode: Mode::Dedupe,
            mixed: Mixed::Strip,
            authoritative: false,
            look_up: false,
            producer_expiration_ms: 0,
        },
        serves_without_sasl: true,
        keep_bytes_max: usize::MAX,
        may_look: false,
        guards: true,
        unix_ms: 0,
    };
    let frame = framed(version, body);
    let front = steps[0] * steps[1] % (frame.len() + 1);
    let size = u32::try_from(frame.len() - 4).expect("a small frame");
    let cluster = Cluster::new();
    let mut session = Session::new(ConnectionId(1), cluster.clone());
    let mut batches = 0;
    let mut note = |event: Event<'_>| batches += u32::from(matches!(event, Event::Batch(_)));
    let decided = session.admit_by_head(&frame[..front], size, &present, &mut note);
    if let Some(mut streamed) = decided {
        if let Ok(request) = ProduceRequest::parse(version, body) {
            assert!(request.partitions == 1 && request.acks != 0, "{request:?}");
        }
        for piece in frame.chunks(steps[1]) {
            let goes_on = streamed.pass_over(piece.len()) || session.stream(&mut streamed, piece, &present, &mut note);
            assert!(goes_on, "what is on its way is not stopped");
        }
        assert_eq!(batches, 1, "another batch in it");
        let pending = session.end_stream(streamed, &present).expect("it is answered");
        session.abandon(pending, present.now);
    } else {
        assert_eq!(batches, 0, "it is decided on later");
    }
    cluster.check_end(present.now.0);
}

fn framed(version: i16, body: &[u8]) -> Vec<u8> {
    // Api key 0, a correlation id, no client id.
    let mut frame = [&[0; 4][..], &[0, 0], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0xff; 2]].concat();
    if version >= FLEXIBLE {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    let length = u32::try_from(frame.len() - 4).expect("a small frame");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}
