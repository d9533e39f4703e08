//! How full the kernel's table of tracked connections is.

use std::io::{Error, ErrorKind};

use super::ConntrackError;

const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// Connections that the kernel tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// In this network namespace.
    pub tracked: u64,
    /// At most so many in each; 0 for no limit.
    pub limit: u64,
}

/// Looks at the table of this network namespace.
pub fn fill() -> Result<Fill, ConntrackError> {
    let read = |path: &str| {
        let text = std::fs::read_to_string(path)?;
        text.trim().parse().map_err(|_| Error::new(ErrorKind::InvalidData, "no number"))
    };
    let fill = || Ok(Fill { tracked: read(COUNT)?, limit: read(LIMIT)? });
    fill().map_err(|source| ConntrackError {
        doing: "see how full the table of tracked connections is",
        source,
    })
}
