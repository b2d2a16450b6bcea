//! The sandbox's broker serves real clients.

use seqgate::sandbox::broker::{Broker, BrokerConfig};
use tokio::runtime::Runtime;

use crate::support::family::Family;
use crate::support::judge::judge;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::require;
use crate::support::tools::Tools;

const RECORDS: usize = 20;
const JAVA: Family = Family::Java(Version::V4_3_1);

#[test]
fn real_clients_produce_to_the_sandbox_and_read_from_it() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = [JAVA, Family::Librdkafka, Family::FranzGo];
    let families: Vec<_> = families.into_iter().filter(|family| require::family(*family).is_some()).collect();
    let runtime = Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start(BrokerConfig { partitions: 2, ..BrokerConfig::default() })).unwrap();
    // The only one of them that does not ask for its topic to be made.
    assert!(broker.create_topic(Family::FranzGo.name()));
    let launch = |family: &Family| Producer::launch(*family, broker.address(), family.name(), &[]);
    let mut producers: Vec<_> = families.iter().map(launch).collect();
    let mut tools = Tools::start(parts);
    for producer in &mut producers {
        producer.wait_ready();
        producer.send(RECORDS, None);
    }
    for producer in &mut producers {
        producer.wait_settled();
        producer.close();
        let log = tools.read_log(broker.address(), producer.topic());
        judge(producer.acked(), producer.failed(), log).assert_exactly_once(producer.client(), RECORDS);
    }
}
