//! Families of Kafka clients, each with a producer that is driven by the same lines.

use std::process::Command;

use super::jvm::{self, Version};
use super::{go, python};

/// A client library of one version, idempotent, with its own defaults except for how long it waits before it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Kafka's own of this release.
    Java(Version),
    /// <https://github.com/twmb/franz-go>
    FranzGo,
    /// <https://github.com/IBM/sarama>
    Sarama,
    /// <https://github.com/confluentinc/librdkafka>, by confluent-kafka.
    Librdkafka,
    /// <https://github.com/aio-libs/aiokafka>
    Aiokafka,
    /// <https://github.com/dpkp/kafka-python>
    KafkaPython,
}

impl Family {
    /// All that are tested side by side.
    pub const ALL: [Self; 7] = [
        Self::Java(Version::V4_3_1),
        Self::Java(Version::V3_9_1),
        Self::FranzGo,
        Self::Sarama,
        Self::Librdkafka,
        Self::Aiokafka,
        Self::KafkaPython,
    ];

    /// Its name, which is also its client id.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java(Version::V4_4_0) => "java-4.4.0",
            Self::Java(Version::V4_3_1) => "java-4.3.1",
            Self::Java(Version::V3_9_1) => "java-3.9.1",
            Self::FranzGo => "franz-go",
            Self::Sarama => "sarama",
            Self::Librdkafka => "librdkafka",
            Self::Aiokafka => "aiokafka",
            Self::KafkaPython => "kafka-python",
        }
    }

    /// As `tests/kafka/go/go.mod` and `tests/kafka/python/requirements.txt` have it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Java(version) => version.number(),
            Self::FranzGo => "1.22.2",
            Self::Sarama => "1.61.1",
            Self::Librdkafka => "2.16.0",
            Self::Aiokafka => "0.14.0",
            Self::KafkaPython => "3.0.12",
        }
    }

    /// How many batches of a partition it has in flight at most, each in a request of its own.
    pub fn in_flight(self) -> usize {
        match self {
            Self::Java(_) | Self::FranzGo | Self::Librdkafka => 5,
            Self::Sarama | Self::Aiokafka | Self::KafkaPython => 1,
        }
    }

    /// Whether it can be made to try again soon without giving a record up when a broker stays away for long: aiokafka
    /// has one setting for both.
    pub fn retries_late(self) -> bool {
        self != Self::Aiokafka
    }

    /// The command that starts its producer, before its arguments; an error names what this machine lacks.
    pub fn program(self) -> Result<Command, String> {
        match self {
            Self::Java(version) => Ok(jvm::parts(version)?.java("128m", "seqgate.Producer")),
            Self::FranzGo | Self::Sarama => {
                let mut command = Command::new(go::clients()?);
                command.arg(self.name());
                Ok(command)
            }
            Self::Librdkafka => script("librdkafka.py"),
            Self::Aiokafka => script("aio.py"),
            Self::KafkaPython => script("kafka_python.py"),
        }
    }
}

fn script(name: &str) -> Result<Command, String> {
    let mut command = Command::new(python::interpreter()?);
    command.arg(python::programs().join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
