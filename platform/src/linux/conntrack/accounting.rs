//! Whether the kernel counts what tracked connections move: one switch for a
//! network namespace, `net.netfilter.nf_conntrack_acct`, off as a rule.

use std::io::Result;

const SWITCH: &str = "/proc/sys/net/netfilter/nf_conntrack_acct";
const OFF: &str = "0";
const ON: &str = "1";

/// Has traffic counted in the calling thread's network namespace: of connections that begin from
/// now on. Needs NET_ADMIN.
pub fn count_traffic() -> Result<()> {
    if is_on()? { Ok(()) } else { std::fs::write(SWITCH, ON) }
}

fn is_on() -> Result<bool> {
    Ok(std::fs::read_to_string(SWITCH)?.trim() != OFF)
}

/// How the switch stood before anything was changed.
#[derive(Clone, Copy, Debug)]
pub struct Accounting {
    was_off: bool,
}

impl Accounting {
    /// Remembers it. Where it can't be read, nothing will be put back.
    pub fn remember() -> Self {
        Self { was_off: is_on().is_ok_and(|is_on| !is_on) }
    }

    /// As it was remembered before.
    pub fn from_before(was_off: bool) -> Self {
        Self { was_off }
    }

    /// Whether nothing was counted.
    pub fn was_off(self) -> bool {
        self.was_off
    }

    /// Puts the switch back.
    pub fn restore(self) -> Result<()> {
        if self.was_off && is_on()? { std::fs::write(SWITCH, OFF) } else { Ok(()) }
    }
}
