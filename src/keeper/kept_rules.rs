//! Which rules stand, as a descriptor: so that the service manager keeps that,
//! too, and a keeper after a killed one goes on from there.
//!
//! A worker that didn't know would begin with the first epoch. While the rules
//! change table by table from the old one to that, a denial of the new epoch
//! would be noted in one table and not yet be enforced by the next.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use seawall_messages::keeper::WantedRules;

/// The longest text that is read.
const MAX_BYTES: u64 = 4096;

/// Writes them down.
pub(super) fn write(rules: &WantedRules) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("seawall-rules", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(rules)?)?;
    Ok(file.into())
}

/// Reads them.
pub(super) fn read(memory: OwnedFd) -> io::Result<WantedRules> {
    let mut file = File::from(memory);
    file.rewind()?;
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use seawall_messages::policy::Mode;

    use super::*;

    #[test]
    fn rules_are_read_as_they_were_written_and_nonsense_is_not() {
        let rules = WantedRules { epoch: 5, mode: Mode::Lockdown, judge_loopback: true };
        let memory = write(&rules).expect("there is room");
        let copy = memory.try_clone().expect("copied");
        assert_eq!(read(memory).expect("readable"), rules);
        assert_eq!(read(copy).expect("readable again, wherever the position is"), rules);
        let nothing = File::open("/dev/null").expect("there is one");
        assert!(read(nothing.into()).is_err());
    }
}
