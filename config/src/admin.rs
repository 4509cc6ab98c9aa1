//! `[admin]`: from where operators reach the server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Network, text};

/// From where operators reach `/admin`, `/metrics` and `/console`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The networks of operators. Default empty: any address; the profiles `production` and `enterprise` name this
    /// machine and private networks.
    pub allow: Vec<Network>,
    /// Another address and port for operators. Default empty: they use `gateway.listen`.
    #[serde(with = "text::optional_address")]
    pub listen: Option<SocketAddr>,
}
