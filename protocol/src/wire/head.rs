//! Request and response headers: which api, which version, and where the body begins.

use super::cursor::{Cursor, Encoding, ParseError};

/// What a request asks for (`ApiKeys`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

macro_rules! api_keys {
    ($($constant:ident = $key:literal, $name:literal, $flexible:expr;)*) => {
        impl ApiKey {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub const $constant: Self = Self($key);
            )*

            /// The api's name; `unknown` for all keys without one, so that names are a bounded set of labels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($key => $name,)*
                    _ => "unknown",
                }
            }
        }

        /// The first version of an api whose headers carry tagged fields (KIP-482, `flexibleVersions` of its
        /// request schema); `None` when no version does, and for unknown apis.
        #[must_use]
        pub const fn first_flexible_version(api_key: ApiKey) -> Option<i16> {
            match api_key.0 {
                $($key => $flexible,)*
                _ => None,
            }
        }
    };
}

api_keys! {
    PRODUCE = 0, "Produce", Some(9);
    FETCH = 1, "Fetch", Some(12);
    LIST_OFFSETS = 2, "ListOffsets", Some(6);
    METADATA = 3, "Metadata", Some(9);
    LEADER_AND_ISR = 4, "LeaderAndIsr", Some(4);
    STOP_REPLICA = 5, "StopReplica", Some(2);
    UPDATE_METADATA = 6, "UpdateMetadata", Some(6);
    CONTROLLED_SHUTDOWN = 7, "ControlledShutdown", Some(3);
    OFFSET_COMMIT = 8, "OffsetCommit", Some(8);
    OFFSET_FETCH = 9, "OffsetFetch", Some(6);
    FIND_COORDINATOR = 10, "FindCoordinator", Some(3);
    JOIN_GROUP = 11, "JoinGroup", Some(6);
    HEARTBEAT = 12, "Heartbeat", Some(4);
    LEAVE_GROUP = 13, "LeaveGroup", Some(4);
    SYNC_GROUP = 14, "SyncGroup", Some(4);
    DESCRIBE_GROUPS = 15, "DescribeGroups", Some(5);
    LIST_GROUPS = 16, "ListGroups", Some(3);
    SASL_HANDSHAKE = 17, "SaslHandshake", None;
    API_VERSIONS = 18, "ApiVersions", Some(3);
    CREATE_TOPICS = 19, "CreateTopics", Some(5);
    DELETE_TOPICS = 20, "DeleteTopics", Some(4);
    DELETE_RECORDS = 21, "DeleteRecords", Some(2);
    INIT_PRODUCER_ID = 22, "InitProducerId", Some(2);
    OFFSET_FOR_LEADER_EPOCH = 23, "OffsetForLeaderEpoch", Some(4);
    ADD_PARTITIONS_TO_TXN = 24, "AddPartitionsToTxn", Some(3);
    ADD_OFFSETS_TO_TXN = 25, "AddOffsetsToTxn", Some(3);
    END_TXN = 26, "EndTxn", Some(3);
    WRITE_TXN_MARKERS = 27, "WriteTxnMarkers", Some(1);
    TXN_OFFSET_COMMIT = 28, "TxnOffsetCommit", Some(3);
    DESCRIBE_ACLS = 29, "DescribeAcls", Some(2);
    CREATE_ACLS = 30, "CreateAcls", Some(2);
    DELETE_ACLS = 31, "DeleteAcls", Some(2);
    DESCRIBE_CONFIGS = 32, "DescribeConfigs", Some(4);
    ALTER_CONFIGS = 33, "AlterConfigs", Some(2);
    ALTER_REPLICA_LOG_DIRS = 34, "AlterReplicaLogDirs", Some(2);
    DESCRIBE_LOG_DIRS = 35, "DescribeLogDirs", Some(2);
    SASL_AUTHENTICATE = 36, "SaslAuthenticate", Some(2);
    CREATE_PARTITIONS = 37, "CreatePartitions", Some(2);
    CREATE_DELEGATION_TOKEN = 38, "CreateDelegationToken", Some(2);
    RENEW_DELEGATION_TOKEN = 39, "RenewDelegationToken", Some(2);
    EXPIRE_DELEGATION_TOKEN = 40, "ExpireDelegationToken", Some(2);
    DESCRIBE_DELEGATION_TOKEN = 41, "DescribeDelegationToken", Some(2);
    DELETE_GROUPS = 42, "DeleteGroups", Some(2);
    ELECT_LEADERS = 43, "ElectLeaders", Some(2);
    INCREMENTAL_ALTER_CONFIGS = 44, "IncrementalAlterConfigs", Some(1);
    ALTER_PARTITION_REASSIGNMENTS = 45, "AlterPartitionReassignments", Some(0);
    LIST_PARTITION_REASSIGNMENTS = 46, "ListPartitionReassignments", Some(0);
    OFFSET_DELETE = 47, "OffsetDelete", None;
    DESCRIBE_CLIENT_QUOTAS = 48, "DescribeClientQuotas", Some(1);
    ALTER_CLIENT_QUOTAS = 49, "AlterClientQuotas", Some(1);
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50, "DescribeUserScramCredentials", Some(0);
    ALTER_USER_SCRAM_CREDENTIALS = 51, "AlterUserScramCredentials", Some(0);
    VOTE = 52, "Vote", Some(0);
    BEGIN_QUORUM_EPOCH = 53, "BeginQuorumEpoch", Some(1);
    END_QUORUM_EPOCH = 54, "EndQuorumEpoch", Some(1);
    DESCRIBE_QUORUM = 55, "DescribeQuorum", Some(0);
    ALTER_PARTITION = 56, "AlterPartition", Some(0);
    UPDATE_FEATURES = 57, "UpdateFeatures", Some(0);
    ENVELOPE = 58, "Envelope", Some(0);
    FETCH_SNAPSHOT = 59, "FetchSnapshot", Some(0);
    DESCRIBE_CLUSTER = 60, "DescribeCluster", Some(0);
    DESCRIBE_PRODUCERS = 61, "DescribeProducers", Some(0);
    BROKER_REGISTRATION = 62, "BrokerRegistration", Some(0);
    BROKER_HEARTBEAT = 63, "BrokerHeartbeat", Some(0);
    UNREGISTER_BROKER = 64, "UnregisterBroker", Some(0);
    DESCRIBE_TRANSACTIONS = 65, "DescribeTransactions", Some(0);
    LIST_TRANSACTIONS = 66, "ListTransactions", Some(0);
    ALLOCATE_PRODUCER_IDS = 67, "AllocateProducerIds", Some(0);
    CONSUMER_GROUP_HEARTBEAT = 68, "ConsumerGroupHeartbeat", Some(0);
    CONSUMER_GROUP_DESCRIBE = 69, "ConsumerGroupDescribe", Some(0);
    CONTROLLER_REGISTRATION = 70, "ControllerRegistration", Some(0);
    GET_TELEMETRY_SUBSCRIPTIONS = 71, "GetTelemetrySubscriptions", Some(0);
    PUSH_TELEMETRY = 72, "PushTelemetry", Some(0);
    ASSIGN_REPLICAS_TO_DIRS = 73, "AssignReplicasToDirs", Some(0);
    LIST_CONFIG_RESOURCES = 74, "ListConfigResources", Some(0);
    DESCRIBE_TOPIC_PARTITIONS = 75, "DescribeTopicPartitions", Some(0);
    SHARE_GROUP_HEARTBEAT = 76, "ShareGroupHeartbeat", Some(0);
    SHARE_GROUP_DESCRIBE = 77, "ShareGroupDescribe", Some(0);
    SHARE_FETCH = 78, "ShareFetch", Some(0);
    SHARE_ACKNOWLEDGE = 79, "ShareAcknowledge", Some(0);
    ADD_RAFT_VOTER = 80, "AddRaftVoter", Some(0);
    REMOVE_RAFT_VOTER = 81, "RemoveRaftVoter", Some(0);
    UPDATE_RAFT_VOTER = 82, "UpdateRaftVoter", Some(0);
    INITIALIZE_SHARE_GROUP_STATE = 83, "InitializeShareGroupState", Some(0);
    READ_SHARE_GROUP_STATE = 84, "ReadShareGroupState", Some(0);
    WRITE_SHARE_GROUP_STATE = 85, "WriteShareGroupState", Some(0);
    DELETE_SHARE_GROUP_STATE = 86, "DeleteShareGroupState", Some(0);
    READ_SHARE_GROUP_STATE_SUMMARY = 87, "ReadShareGroupStateSummary", Some(0);
    STREAMS_GROUP_HEARTBEAT = 88, "StreamsGroupHeartbeat", Some(0);
    STREAMS_GROUP_DESCRIBE = 89, "StreamsGroupDescribe", Some(0);
    DESCRIBE_SHARE_GROUP_OFFSETS = 90, "DescribeShareGroupOffsets", Some(0);
    ALTER_SHARE_GROUP_OFFSETS = 91, "AlterShareGroupOffsets", Some(0);
    DELETE_SHARE_GROUP_OFFSETS = 92, "DeleteShareGroupOffsets", Some(0);
}

/// Whether the response to this version of a request has tagged fields in its header.
///
/// Never for ApiVersions: a client must be able to read the answer of a broker that is older than itself
/// (KIP-511).
#[must_use]
pub fn response_header_is_flexible(api_key: ApiKey, api_version: i16) -> bool {
    api_key != ApiKey::API_VERSIONS && request_header_is_flexible(api_key, api_version)
}

/// Bytes of a frame that say what it is: api key, api version and correlation id.
pub const REQUEST_PREFIX_BYTES: usize = 8;

/// What every request begins with, whatever its api and version (`RequestHeader.json`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// What is asked for.
    pub api_key: ApiKey,
    /// In which version of its layout.
    pub api_version: i16,
    /// The number that the response repeats.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Reads the first bytes behind the length.
    #[must_use]
    pub const fn new(head: [u8; REQUEST_PREFIX_BYTES]) -> Self {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = head;
        Self {
            api_key: ApiKey(i16::from_be_bytes([k0, k1])),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        }
    }
}

/// A request's header, and the body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// What is asked for.
    pub prefix: RequestPrefix,
    /// The name that the client gave itself.
    pub client_id: Option<&'a [u8]>,
    /// Where in the frame the body begins, in bytes behind the length.
    pub body_at: usize,
    /// The body, as far as it is there.
    pub body: &'a [u8],
}

impl<'a> RequestHead<'a> {
    /// Reads the header of a frame, given without its length.
    ///
    /// Beginnings of frames will do: [`ParseError::Truncated`] names how many bytes would get further, so that a
    /// caller with a limit knows whether to wait for them. Apis without a known header are read as if theirs were
    /// not flexible: their prefix is right, their body may begin later.
    pub fn parse(frame: &'a [u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::beginning(frame, Encoding::Classic);
        let prefix =
            RequestPrefix { api_key: ApiKey(cursor.i16()?), api_version: cursor.i16()?, correlation_id: cursor.i32()? };
        let version = prefix.api_version;
        if prefix.api_key == ApiKey::CONTROLLED_SHUTDOWN && version == 0 {
            // The one request that was sent without a client id, between brokers, up to Kafka 3.9.
            return Err(ParseError::Version { version });
        }
        // Classic in flexible headers too: a broker reads it before it can know the version.
        let client_id = cursor.nullable_string()?;
        if request_header_is_flexible(prefix.api_key, version) {
            cursor.switch_to(Encoding::Flexible);
            cursor.skip_tags()?;
        }
        Ok(Self { prefix, client_id, body_at: cursor.position(), body: cursor.rest() })
    }
}

fn request_header_is_flexible(api_key: ApiKey, api_version: i16) -> bool {
    first_flexible_version(api_key).is_some_and(|first| api_version >= first)
}

#[cfg(test)]
mod tests;
