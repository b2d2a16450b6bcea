//! Kinds of requests, as an index that fits an array.

use super::labels::Label;

/// Names a kind of request; one for all that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api(u8);

/// Names by api key, as in Kafka's message definitions (`clients/src/main/resources/common/message`).
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "Produce", "Fetch", "ListOffsets", "Metadata", "LeaderAndIsr", "StopReplica",
    "UpdateMetadata", "ControlledShutdown", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup",
    "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "SaslHandshake",
    "ApiVersions", "CreateTopics", "DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch",
    "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit", "DescribeAcls",
    "CreateAcls", "DeleteAcls", "DescribeConfigs", "AlterConfigs", "AlterReplicaLogDirs", "DescribeLogDirs",
    "SaslAuthenticate", "CreatePartitions", "CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken",
    "DescribeDelegationToken", "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs",
    "AlterPartitionReassignments", "ListPartitionReassignments", "OffsetDelete", "DescribeClientQuotas",
    "AlterClientQuotas", "DescribeUserScramCredentials", "AlterUserScramCredentials", "Vote", "BeginQuorumEpoch",
    "EndQuorumEpoch", "DescribeQuorum", "AlterPartition", "UpdateFeatures", "Envelope", "FetchSnapshot",
    "DescribeCluster", "DescribeProducers", "BrokerRegistration", "BrokerHeartbeat", "UnregisterBroker",
    "DescribeTransactions", "ListTransactions", "AllocateProducerIds", "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe", "ControllerRegistration", "GetTelemetrySubscriptions", "PushTelemetry",
    "AssignReplicasToDirs", "ListConfigResources", "DescribeTopicPartitions", "ShareGroupHeartbeat",
    "ShareGroupDescribe", "ShareFetch", "ShareAcknowledge", "AddRaftVoter", "RemoveRaftVoter", "UpdateRaftVoter",
    "InitializeShareGroupState", "ReadShareGroupState", "WriteShareGroupState", "DeleteShareGroupState",
    "ReadShareGroupStateSummary", "StreamsGroupHeartbeat", "StreamsGroupDescribe", "DescribeShareGroupOffsets",
    "AlterShareGroupOffsets", "DeleteShareGroupOffsets",
    // The last: what is not known.
    "unknown",
];

impl Api {
    /// How many kinds there are.
    pub const COUNT: usize = NAMES.len();
    /// The request that everything here is about.
    pub const PRODUCE: Self = Self(0);
    /// A request of a kind that is not known here.
    pub const UNKNOWN: Self = Self((NAMES.len() - 1) as u8);

    /// Returns the kind for the api key of a request header.
    pub fn from_key(key: i16) -> Self {
        u8::try_from(key).ok().filter(|key| *key < Self::UNKNOWN.0).map_or(Self::UNKNOWN, Self)
    }

    /// Returns every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::UNKNOWN.0).map(Self)
    }

    /// Returns the place in an array of [`Self::COUNT`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the name in Kafka's message definitions.
    pub fn name(self) -> &'static str {
        NAMES[self.index()]
    }
}

impl Label for Api {
    const KEY: &'static str = "api";
    const NAMES: &'static [&'static str] = NAMES;

    fn index(self) -> usize {
        Self::index(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiKey;

    #[test]
    fn names_are_those_of_the_protocol() {
        for api in Api::all().filter(|api| *api != Api::UNKNOWN) {
            if let Ok(key) = ApiKey::try_from(i16::from(api.0)) {
                assert_eq!(api.name(), format!("{key:?}"));
            }
        }
    }

    #[test]
    fn keys_out_of_the_table_are_unknown() {
        for key in [i16::MIN, -1, 93, 94, 255, 256, i16::MAX] {
            assert_eq!(Api::from_key(key).name(), "unknown", "{key}");
        }
        assert_eq!(Api::from_key(92).name(), "DeleteShareGroupOffsets");
    }
}
