//! Threads that connections stay on.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tracing::error;

use crate::runtime::{Drain, DrainSignal};

/// One thread per core, each with a runtime of its own.
///
/// A connection is served where it was put first. Handed from thread to thread, as a runtime of many threads does to
/// keep them all busy, small requests would cost more in waking threads than in being relayed (`benches/relay`); and
/// there are many more connections than threads.
#[derive(Debug)]
pub(super) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Of its own: what every connection enters itself into, and leaves again, is not shared between threads.
    drain: DrainSignal,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
    /// It was told that the thread has ended.
    told: AtomicBool,
    /// Dropped, it ends the thread, and cuts what is left on it.
    _alive: oneshot::Sender<()>,
}

/// A connection's place on one of the threads.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    pub(super) handle: &'a Handle,
    pub(super) drain: DrainSignal,
    pub(super) lease: Lease,
}

/// Counts a connection as one of a thread until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Arc<AtomicUsize>);

impl Workers {
    /// Starts a thread per core; `drain` is passed on to the connections.
    pub(super) fn start(drain: &DrainSignal) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        (0..threads).map(|number| Worker::start(number, drain.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// The thread with the fewest connections; none when all have ended. Of several it is any: clients open an idle
    /// connection and a busy one by turns, and the busy ones must not all come to the same thread.
    pub(super) fn place(&self) -> Option<Seat<'_>> {
        let (before, after) = self.0.split_at(rand::random_range(0..self.0.len()));
        let open = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let worker = after.iter().chain(before).filter(|worker| worker.serves()).min_by_key(open)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let lease = Lease(Arc::clone(&worker.connections));
        Some(Seat { handle: &worker.handle, drain: worker.drain.clone(), lease })
    }
}

impl Worker {
    fn start(number: usize, drain: DrainSignal) -> io::Result<Self> {
        Self::start_on(thread::Builder::new().name(format!("relay-{number}")), drain)
    }

    fn start_on(thread: thread::Builder, drain: DrainSignal) -> io::Result<Self> {
        let own = Drain::new();
        let signal = own.signal();
        let (alive, ended) = oneshot::channel();
        let (started, starting) = mpsc::channel();
        let thread = thread.spawn(move || {
            // Built where it ends: dropped by whoever starts the thread, which waits for other things, it would panic.
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => {
                    started.send(Err(error)).ok();
                    return;
                }
            };
            runtime.spawn(pass_on(drain, own));
            started.send(Ok(runtime.handle().clone())).ok();
            runtime.block_on(ended).ok();
            // A name that still resolves must not keep the thread.
            runtime.shutdown_background();
        })?;
        let handle = starting.recv().map_err(io::Error::other)??;
        let (connections, told) = (Arc::default(), AtomicBool::new(false));
        Ok(Self { handle, drain: signal, connections, thread, told, _alive: alive })
    }

    /// Whether its thread is there. Only a panic outside of all connections ends it: the others go on.
    fn serves(&self) -> bool {
        let has_ended = self.thread.is_finished();
        if has_ended && !self.told.swap(true, Ordering::Relaxed) {
            let thread = self.thread.thread().name();
            error!(thread, "a thread for connections has ended: they go to those that are left");
        }
        !has_ended
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_io().enable_time().max_blocking_threads(RESOLVING_MAX).build()
}

/// Tells a thread's connections what the proxy's `drain` tells.
async fn pass_on(drain: DrainSignal, own: Drain) {
    drain.started().await;
    own.start();
    drain.expired().await;
    own.expire();
    // Those who wait hear of it as long as it is there.
    std::future::pending::<()>().await;
}

/// Names that are resolved at once for the connections of one thread: each takes a thread of its own until the resolver
/// gives up, however long before that its connection did. While it does not answer, hundreds of them would help nobody.
const RESOLVING_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn started(threads: usize) -> Workers {
        let drain = Drain::new();
        let start = |number| Worker::start(number, drain.signal());
        Workers((0..threads).map(start).collect::<io::Result<_>>().unwrap())
    }

    fn place(workers: &Workers) -> Lease {
        workers.place().unwrap().lease
    }

    #[test]
    fn connections_are_spread_over_all_threads() {
        let workers = started(3);
        let leases: Vec<_> = (0..6).map(|_| place(&workers)).collect();
        let open = || workers.0.iter().map(|w| w.connections.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(open(), [2, 2, 2]);
        drop(leases);
        assert_eq!(open(), [0, 0, 0]);
    }

    #[test]
    fn busy_connections_between_idle_ones_are_spread_as_well() {
        let workers = started(2);
        let mut idle = Vec::new();
        let mut busy = Vec::new();
        // All on one thread by chance: once in 2^63.
        for _ in 0..64 {
            idle.push(place(&workers));
            busy.push(place(&workers));
        }
        assert!(busy.iter().any(|lease| !Arc::ptr_eq(&lease.0, &busy[0].0)));
    }

    #[test]
    fn a_thread_that_has_ended_gets_no_more_connections() {
        let mut workers = started(2);
        let end = |worker: &mut Worker| {
            worker._alive = oneshot::channel().0;
            while !worker.thread.is_finished() {
                thread::yield_now();
            }
        };
        end(&mut workers.0[0]);
        let leases: Vec<_> = (0..8).map(|_| place(&workers)).collect();
        assert!(leases.iter().all(|lease| Arc::ptr_eq(&lease.0, &workers.0[1].connections)));
        end(&mut workers.0[1]);
        assert!(workers.place().is_none());
    }

    #[tokio::test]
    async fn a_thread_that_cannot_be_started_is_an_error() {
        let drain = Drain::new();
        let larger_than_memory = thread::Builder::new().stack_size(1 << 60);
        assert!(Worker::start_on(larger_than_memory, drain.signal()).is_err());
    }

    #[test]
    fn what_is_left_ends_with_the_threads() {
        struct Told(std::sync::mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(()).ok();
            }
        }
        let workers = Workers::start(&Drain::new().signal()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let told = Told(sender);
        workers.place().unwrap().handle.spawn(async move {
            let _told = told;
            std::future::pending::<()>().await;
        });
        drop(workers);
        receiver.recv().expect("the task is dropped");
    }
}
