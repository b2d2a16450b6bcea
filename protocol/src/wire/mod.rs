//! Kafka's wire format, as far as produce traffic needs it: bounded walks over borrowed bytes.
