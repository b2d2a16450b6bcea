//! Knows other protocols by their first bytes, for the line of the log that says why a connection was given up.

use std::fmt;

/// What somebody speaks who does not speak Kafka's protocol in the plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// What a TLS connection begins with.
    TlsHandshake,
    /// What a TLS server says to whoever begins with anything else.
    TlsAlert,
    /// Of HTTP/1.
    HttpRequest,
    /// Of HTTP/1.
    HttpResponse,
    /// What a client of HTTP/2 begins with.
    Http2Preface,
    /// What both sides of SSH begin with.
    SshBanner,
    /// What a proxy puts before the client's bytes, in its first version or its second.
    ProxyHeader(u8),
}

/// No prefix is a possible beginning of a Kafka frame of less than 200 MiB.
const KNOWN: [(&[u8], Foreign); 15] = [
    (b"\x16\x03", Foreign::TlsHandshake),
    (b"\x15\x03", Foreign::TlsAlert),
    (b"GET ", Foreign::HttpRequest),
    (b"HEAD ", Foreign::HttpRequest),
    (b"POST ", Foreign::HttpRequest),
    (b"PUT ", Foreign::HttpRequest),
    (b"PATCH ", Foreign::HttpRequest),
    (b"DELETE ", Foreign::HttpRequest),
    (b"OPTIONS ", Foreign::HttpRequest),
    (b"CONNECT ", Foreign::HttpRequest),
    (b"PRI * HTTP/2", Foreign::Http2Preface),
    (b"HTTP", Foreign::HttpResponse),
    (b"SSH-", Foreign::SshBanner),
    (b"PROXY ", Foreign::ProxyHeader(1)),
    (b"\r\n\r\n\0\r\nQUIT\n", Foreign::ProxyHeader(2)),
];

impl Foreign {
    /// Says what the first bytes of one side look like, if they are not Kafka's.
    #[must_use]
    pub fn recognise(first_bytes: &[u8]) -> Option<Self> {
        KNOWN.iter().find(|(prefix, _)| first_bytes.starts_with(prefix)).map(|&(_, what)| what)
    }

    /// Whether TLS is what is spoken.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::TlsHandshake | Self::TlsAlert)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlsHandshake => write!(f, "a TLS handshake"),
            Self::TlsAlert => write!(f, "a TLS alert"),
            Self::HttpRequest => write!(f, "an HTTP request"),
            Self::HttpResponse => write!(f, "an HTTP response"),
            Self::Http2Preface => write!(f, "an HTTP/2 preface"),
            Self::SshBanner => write!(f, "an SSH banner"),
            Self::ProxyHeader(version) => write!(f, "a PROXY protocol v{version} header"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(first_bytes: &[u8]) -> Option<String> {
        Foreign::recognise(first_bytes).map(|what| what.to_string())
    }

    #[test]
    fn strangers_are_named() {
        for (first_bytes, name) in [
            (&[0x16, 3, 1, 2, 0, 1][..], "a TLS handshake"),
            (&[0x15, 3, 3, 0, 2, 2, 80], "a TLS alert"),
            (b"GET / HTTP/1.1\r\n", "an HTTP request"),
            (b"HTTP/1.1 400 Bad Request\r\n", "an HTTP response"),
            (b"PRI * HTTP/2.0\r\n", "an HTTP/2 preface"),
            (b"SSH-2.0-OpenSSH", "an SSH banner"),
            (b"PROXY TCP4 ", "a PROXY protocol v1 header"),
            (b"\r\n\r\n\0\r\nQUIT\n", "a PROXY protocol v2 header"),
        ] {
            assert_eq!(named(first_bytes).as_deref(), Some(name));
        }
        for kafka in [&[0, 0, 0, 30, 0, 18, 0, 3][..], b"GE", &[]] {
            assert_eq!(named(kafka), None);
        }
    }
}
