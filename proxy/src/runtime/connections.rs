//! The connections that are open, for the admin port to show.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::listener::Listener;
use crate::telemetry::api::Api;

/// Lists the open connections; as many as there are permits for.
#[derive(Debug)]
pub struct Connections {
    next: AtomicU64,
    max: usize,
    open: Mutex<BTreeMap<u64, Arc<ConnectionRecord>>>,
}

/// Shows one connection while it is open.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// Number of the connection in logs and in the journal.
    pub id: u64,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// Who it came from.
    pub client_addr: SocketAddr,
    opened: Instant,
    client_id: OnceLock<Box<str>>,
    requests: [AtomicU64; Api::COUNT],
}

impl Connections {
    /// Lists at most `max` connections.
    pub fn new(max: usize) -> Self {
        Self { next: AtomicU64::new(1), max, open: Mutex::default() }
    }

    /// Lists a new connection under a number of its own.
    pub fn open(&self, listener: Arc<Listener>, client_addr: SocketAddr) -> Arc<ConnectionRecord> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let record = Arc::new(ConnectionRecord::new(id, listener, client_addr));
        self.with(|open| {
            debug_assert!(open.len() < self.max, "a permit is taken before the connection is listed");
            open.insert(id, Arc::clone(&record));
        });
        record
    }

    /// Takes a connection off the list.
    pub fn close(&self, id: u64) {
        self.with(|open| open.remove(&id));
    }

    /// Returns up to `limit` connections, oldest first.
    pub fn list(&self, limit: usize) -> Vec<Arc<ConnectionRecord>> {
        self.with(|open| open.values().take(limit).cloned().collect())
    }

    /// Returns how many are open.
    pub fn len(&self) -> usize {
        self.with(|open| open.len())
    }

    /// Returns true when none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<u64, Arc<ConnectionRecord>>) -> T) -> T {
        f(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ConnectionRecord {
    /// Bytes of a client id that are kept: Kafka knows no limit but a frame.
    pub const CLIENT_ID_BYTES_MAX: usize = 256;

    /// Describes a connection that has just been accepted.
    pub fn new(id: u64, listener: Arc<Listener>, client_addr: SocketAddr) -> Self {
        let requests = std::array::from_fn(|_| AtomicU64::new(0));
        Self { id, listener, client_addr, opened: Instant::now(), client_id: OnceLock::new(), requests }
    }

    /// Keeps the first client id that is seen.
    pub fn note_client_id(&self, client_id: &str) {
        self.client_id.get_or_init(|| {
            let end = client_id.floor_char_boundary(Self::CLIENT_ID_BYTES_MAX);
            client_id[..end].into()
        });
    }

    /// Counts a request.
    pub fn note_request(&self, api: Api) {
        self.requests[api.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the client id, once one was seen.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.get().map(AsRef::as_ref)
    }

    /// Returns the requests that were read, by kind; those that never came are left out.
    pub fn requests(&self) -> impl Iterator<Item = (Api, u64)> + '_ {
        let counted = |api: Api| (api, self.requests[api.index()].load(Ordering::Relaxed));
        Api::all().map(counted).filter(|(_, count)| *count > 0)
    }

    /// Returns how long the connection has been open.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}
