//! The whole chain: client, relay, seqgate, relay, broker.

use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use super::PATIENCE;
use super::family::Family;
use super::judge::{Outcome, judge};
use super::jvm::{Parts, Version};
use super::kafka::Kafka;
use super::producer::Producer;
use super::relay::{Ending, Relay};
use super::seqgate::{Seqgate, WARNINGS_OF_A_RIG};
use super::tools::Tools;

/// A broker whose clients are sent to a relay, and that relay.
pub struct Stage {
    /// The relay on the clients' side, whose address the broker advertises.
    pub front: Relay,
    /// Sets up and reads back past relay and seqgate.
    pub tools: Tools,
    /// The broker.
    pub broker: Kafka,
}

impl Stage {
    /// A stage of the test's own.
    pub fn start(parts: &'static Parts, settings: &[(&str, &str)]) -> Self {
        let front = Relay::bind("front");
        let broker = Kafka::start(parts, Some(front.address()), settings);
        Self { tools: Tools::start(parts), front, broker }
    }

    /// The stage that the tests of this binary share, one at a time, in order: up, with nothing held or refused.
    pub fn shared(parts: &'static Parts) -> MutexGuard<'static, Self> {
        static V4_4: OnceLock<Mutex<Stage>> = OnceLock::new();
        static V4_3: OnceLock<Mutex<Stage>> = OnceLock::new();
        static V3_9: OnceLock<Mutex<Stage>> = OnceLock::new();
        let cell = match parts.version {
            Version::V4_4_0 => &V4_4,
            Version::V4_3_1 => &V4_3,
            Version::V3_9_1 => &V3_9,
        };
        let shared = cell.get_or_init(|| Mutex::new(Self::start(parts, &[])));
        // A test that failed has left it as it was at that moment.
        let mut stage = shared.lock().unwrap_or_else(|failed| failed.into_inner());
        if !stage.broker.is_running() {
            stage.broker.start_again();
        }
        stage
    }

    /// Clients reach the broker through the front relay alone.
    pub fn direct(&mut self) -> Rig<'_> {
        self.front.target(self.broker.address());
        self.rig(None, None)
    }

    /// Front relay, seqgate with these arguments, back relay, broker.
    pub fn through_seqgate(&mut self, args: &[&str]) -> Rig<'_> {
        let back = Relay::to("back", self.broker.address());
        let seqgate = Seqgate::pipe(back.address(), args);
        self.front.target(seqgate.address());
        self.rig(Some(seqgate), Some(back))
    }

    /// The same with these lines in seqgate's configuration, and an admin port.
    pub fn through_seqgate_configured(&mut self, lines: &str) -> Rig<'_> {
        let back = Relay::to("back", self.broker.address());
        let seqgate = Seqgate::pipe_configured(back.address(), lines);
        self.front.target(seqgate.address());
        self.rig(Some(seqgate), Some(back))
    }

    /// The same with nothing between seqgate and the broker.
    pub fn through_seqgate_alone(&mut self, args: &[&str]) -> Rig<'_> {
        let seqgate = Seqgate::pipe(self.broker.address(), args);
        self.front.target(seqgate.address());
        self.rig(Some(seqgate), None)
    }

    fn rig(&mut self, seqgate: Option<Seqgate>, back: Option<Relay>) -> Rig<'_> {
        // Connections of an earlier rig end here, so that they are in no record of this one.
        self.front.refuse();
        self.front.cut_all(Ending::Reset);
        self.front.forget();
        self.front.resume();
        Rig { stage: self, seqgate, back }
    }
}

/// A stage with its chain put together.
pub struct Rig<'a> {
    /// The broker and the front relay.
    pub stage: &'a mut Stage,
    /// Between the relays, unless the rig is direct.
    pub seqgate: Option<Seqgate>,
    /// The relay on the broker's side of seqgate.
    pub back: Option<Relay>,
}

/// Producers of several families, side by side on one chain.
pub struct Crowd(pub Vec<Producer>);

impl Crowd {
    /// Hands each as many records, to be sent when it likes.
    pub fn send(&mut self, count: usize) {
        self.0.iter_mut().for_each(|producer| producer.send(count, None));
    }

    /// The same while no broker may be there.
    pub fn begin_send(&mut self, count: usize) {
        self.0.iter_mut().for_each(|producer| producer.begin_send(count, None));
    }

    /// Waits until every record of every producer is acknowledged or failed.
    pub fn wait_settled(&self) {
        self.0.iter().for_each(Producer::wait_settled);
    }

    /// Closes each.
    pub fn close(&mut self) {
        self.0.iter_mut().for_each(Producer::close);
    }
}

/// The places where an acknowledgement can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Between the client and seqgate, or the broker when there is no seqgate.
    Front,
    /// Between seqgate and the broker.
    Back,
}

impl Rig<'_> {
    /// The relay on that side.
    pub fn relay(&self, side: Side) -> &Relay {
        match side {
            Side::Front => &self.stage.front,
            Side::Back => self.back.as_ref().expect("the rig has a back relay"),
        }
    }

    /// A Java producer of the broker's release with Kafka's defaults, and `settings` over them.
    pub fn producer(&self, topic: &str, settings: &[(&str, &str)]) -> Producer {
        let family = Family::Java(self.stage.broker.parts().version);
        let producer = Producer::launch(family, self.stage.front.address(), topic, settings);
        producer.wait_ready();
        producer
    }

    /// A producer of each family, each with a topic of its own.
    pub fn crowd(&mut self, families: &[Family], topic: &str, partitions: usize, settings: &[(&str, &str)]) -> Crowd {
        let front = self.stage.front.address();
        let launch = |family: &Family| {
            let topic = format!("{topic}-{}", family.name());
            Producer::launch(*family, front, &topic, settings)
        };
        for family in families {
            self.create_topic(&format!("{topic}-{}", family.name()), partitions);
        }
        let crowd: Vec<_> = families.iter().map(launch).collect();
        crowd.iter().for_each(Producer::wait_ready);
        Crowd(crowd)
    }

    /// Hands the producer records one at a time, each when the one before is on its way: every record is a batch, and as
    /// many are in flight as the producer allows.
    pub fn send_apart(&self, producer: &mut Producer, count: usize) {
        let client = producer.client().to_owned();
        for _ in 0..count {
            let before = self.stage.front.requests_of(&client);
            producer.send(1, None);
            self.stage.front.wait_requests_of(&client, before + 1);
        }
    }

    /// Makes a topic, past relay and seqgate.
    pub fn create_topic(&mut self, topic: &str, partitions: usize) {
        let Stage { broker, tools, .. } = &mut *self.stage;
        tools.create_topic(broker.direct(), topic, partitions);
    }

    /// Waits until a partition has a leader that serves it, as it may not at once when its broker has started again.
    pub fn wait_led(&mut self, topic: &str, partition: i32) {
        let Stage { broker, tools, .. } = &mut *self.stage;
        tools.wait_led(broker.direct(), topic, partition);
    }

    /// Waits until the leader of a partition remembers no producer, which takes the broker's expiry.
    pub fn wait_forgotten(&mut self, topic: &str, partition: i32) {
        let deadline = Instant::now() + PATIENCE;
        let Stage { broker, tools, .. } = &mut *self.stage;
        // Each question is a connection and an answer: slow enough to need no pause.
        while tools.known_producers(broker.direct(), topic, partition) > 0 {
            assert!(Instant::now() < deadline, "the broker does not forget producers of {topic}");
        }
    }

    /// Judges all that a producer did on its topic.
    pub fn judge(&mut self, producer: &Producer) -> Outcome {
        let Stage { broker, tools, .. } = &mut *self.stage;
        let log = tools.read_log(broker.direct(), producer.topic());
        judge(producer.acked(), producer.failed(), log)
    }

    /// The same for each of a crowd.
    pub fn judge_all(&mut self, crowd: &Crowd) -> Vec<(Family, Outcome)> {
        crowd.0.iter().map(|producer| (producer.family(), self.judge(producer))).collect()
    }

    /// Restarts the broker in good order while every connection is refused, and loses all answers that are held.
    ///
    /// Clients are let in when it leads where the crowd produces: no batch that comes again is refused because it does not
    /// yet, and overtaken by the next.
    pub fn restart_losing_answers(&mut self, crowd: &Crowd) {
        self.lose_answers(|rig| {
            rig.stage.broker.stop_clean();
            rig.cut_all();
            rig.stage.broker.start_again();
            for producer in &crowd.0 {
                rig.wait_led(producer.topic(), 0);
            }
        });
    }

    /// Loses all answers that are held, while nobody can connect; what happens meanwhile ends every connection, or has them
    /// ended.
    pub fn lose_answers(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        self.stage.front.refuse();
        meanwhile(self);
        self.resume();
    }

    /// Ends every connection; answers that are held are lost.
    pub fn cut_all(&self) {
        self.stage.front.cut_all(Ending::Reset);
        if let Some(back) = &self.back {
            back.cut_all(Ending::Reset);
        }
    }

    /// Another seqgate on the way to the same broker, which no client comes to yet.
    pub fn another_seqgate(&self) -> Seqgate {
        Seqgate::pipe(self.relay(Side::Back).address(), &[])
    }

    /// Has new connections go through that seqgate; the one of before takes its place.
    pub fn change_seqgate(&mut self, other: &mut Seqgate) {
        self.stage.front.target(other.address());
        std::mem::swap(self.seqgate.as_mut().expect("the rig has a seqgate"), other);
    }

    /// Everything passes again.
    pub fn resume(&self) {
        self.stage.front.resume();
        if let Some(back) = &self.back {
            back.resume();
        }
    }

    /// The relays, from the client to the broker.
    pub fn sides(&self) -> &'static [Side] {
        if self.back.is_some() { &[Side::Front, Side::Back] } else { &[Side::Front] }
    }

    /// Ends seqgate in good order and looks through its log.
    pub fn stop_seqgate(&mut self, allowed: &[&str]) {
        if let Some(seqgate) = &mut self.seqgate {
            seqgate.stop();
            seqgate.assert_quiet(&[&WARNINGS_OF_A_RIG, allowed].concat());
        }
    }
}
