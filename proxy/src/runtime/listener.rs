//! One bound address and the broker behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::upstream::Upstream;

/// Serves one broker on one address.
#[derive(Debug)]
pub struct Listener {
    /// Name in logs, metrics and status.
    pub name: String,
    /// The address that is bound; its port is never 0.
    pub address: SocketAddr,
    /// The broker; listeners of one broker share it.
    pub upstream: Arc<Upstream>,
    /// Listeners of one name share what is known before the cluster's id is seen.
    pub cluster_name: Option<String>,
}
