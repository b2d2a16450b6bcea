//! Says what came where Kafka's protocol was expected, and the way out.

use seqgate_protocol::wire::foreign::Foreign;

/// What a client sent, if its first bytes are not Kafka's.
pub fn from_client(first_bytes: &[u8]) -> Option<String> {
    let what = Foreign::recognise(first_bytes)?;
    let cure = if what.is_tls() {
        ": seqgate has no TLS yet, so set security.protocol=PLAINTEXT (or SASL_PLAINTEXT) in the client"
    } else {
        ""
    };
    Some(format!("the client sent {what} where Kafka's protocol was expected{cure}"))
}

/// What a broker sent, if its first bytes are not Kafka's.
pub fn from_broker(first_bytes: &[u8]) -> Option<String> {
    let what = Foreign::recognise(first_bytes)?;
    let cure = if what.is_tls() { LISTENER_WITHOUT_TLS } else { "name a Kafka broker as upstream" };
    Some(format!("the broker sent {what} where Kafka's protocol was expected: {cure}"))
}

/// What ends trouble with a broker's TLS.
pub const LISTENER_WITHOUT_TLS: &str =
    "seqgate has no TLS yet, so name the address of a PLAINTEXT or SASL_PLAINTEXT listener as upstream";
