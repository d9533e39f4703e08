//! What a keeper hands on to the program that takes its place: by exec, in
//! the same process; or to a guardian, in case that goes wrong.
//!
//! Descriptors keep their numbers. The rest lies in a sealed piece of memory,
//! as JSON: the two programs may be of different versions, so fields are only
//! ever added, each with a default.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags};
use seawall_messages::keeper::{Layout, WantedRules};
use seawall_messages::policy::Mode;
use seawall_platform::linux::inherited;
use serde::{Deserialize, Serialize};

/// The environment variable that holds the number of the memory's descriptor.
pub(super) const ESTATE_VARIABLE: &str = "SEAWALL_ESTATE";

/// Raised when a later program could take it for something else.
pub(super) const FORMAT: u32 = 1;

/// The longest text that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// A descriptor by its number, which is the same on both sides.
pub(super) type Number = RawFd;

/// Everything that is handed on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Estate {
    pub(super) format: u32,
    /// The process that is to become the new keeper.
    pub(super) keeper_pid: u32,
    /// The file that an upgrade starts.
    pub(super) installed: PathBuf,
    pub(super) config: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) metrics: Option<SocketAddr>,
    /// The back-end that the policy file asked for, and the one in use.
    pub(super) asked_backend: Option<String>,
    pub(super) backend: String,
    pub(super) layout: Layout,
    pub(super) mode: Mode,
    pub(super) rules: Option<WantedRules>,
    pub(super) mended: u64,
    pub(super) crashes: u32,
    /// Whether traffic of connections was not counted before Seawall.
    #[serde(default)]
    pub(super) accounting_was_off: bool,
    pub(super) lock: Number,
    /// Whoever asked for the upgrade and waits for an answer.
    pub(super) applicant: Option<Number>,
    /// What is kept for workers, by name.
    pub(super) descriptors: Vec<(String, Number)>,
    /// The worker that judges.
    pub(super) worker: Option<WorkerPart>,
    /// Who comes back if the new program fails.
    pub(super) guardian: Option<GuardianPart>,
}

/// A worker that goes on judging.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct WorkerPart {
    pub(super) pid: i32,
    pub(super) link: Number,
    pub(super) nothing_behind: bool,
}

/// The guardian, as the new program sees it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct GuardianPart {
    pub(super) pid: i32,
    pub(super) link: Number,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EstateError {
    /// The memory can't be had, or read.
    #[error("can't {doing} what one program hands on to the next")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something is not there, or not as it must be.
    #[error("the program before this one did not hand on {0}")]
    Missing(String),
}

impl Estate {
    /// Writes it down. The descriptor is close-on-exec, as all others.
    pub(super) fn write(&self) -> Result<OwnedFd, EstateError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create("seawall-estate", flags)
            .map_err(|errno| system("write down")(errno.into()))?;
        let mut file = std::fs::File::from(memory);
        let text = serde_json::to_vec(self).map_err(|error| system("write down")(error.into()))?;
        file.write_all(&text).map_err(system("write down"))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)
            .map_err(|errno| system("write down")(errno.into()))?;
        Ok(file.into())
    }

    /// Reads what came over the exec under that number.
    pub(super) fn take(number: Number) -> Result<Self, EstateError> {
        let memory = adopt("its estate", number)?;
        let mut file = std::fs::File::from(memory);
        // Whoever wrote it, or read it before, left the position somewhere.
        file.rewind().map_err(system("read"))?;
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(system("read"))?;
        let estate: Self =
            serde_json::from_slice(&text).map_err(|error| system("read")(error.into()))?;
        if estate.format == FORMAT {
            Ok(estate)
        } else {
            Err(EstateError::Missing(format!("an estate of format {FORMAT}")))
        }
    }

    /// Takes every descriptor in it, but for worker and guardian.
    pub(super) fn take_belongings(&self) -> Result<Belongings, EstateError> {
        let take = |(name, number): &(String, Number)| Ok((name.clone(), adopt(name, *number)?));
        Ok(Belongings {
            lock: adopt("the lock of the namespace", self.lock)?,
            applicant: self.applicant.map(|number| adopt("the applicant", number)).transpose()?,
            descriptors: self.descriptors.iter().map(take).collect::<Result<_, _>>()?,
        })
    }
}

/// The descriptors of an estate.
pub(super) struct Belongings {
    /// The lock of the namespace.
    pub(super) lock: OwnedFd,
    /// Whoever asked for the upgrade.
    pub(super) applicant: Option<OwnedFd>,
    /// What is kept for workers.
    pub(super) descriptors: BTreeMap<String, OwnedFd>,
}

/// The number of the estate's memory, if a program before this one handed one on.
pub(super) fn handed_on() -> Option<Number> {
    std::env::var(ESTATE_VARIABLE).ok()?.parse().ok()
}

/// Takes a descriptor that was handed on.
pub(super) fn adopt(what: &str, number: Number) -> Result<OwnedFd, EstateError> {
    inherited::adopt(number).ok_or_else(|| EstateError::Missing(what.to_owned()))
}

/// Descriptors on their way through an exec. When this is dropped, the exec
/// failed, or a child has them: then they are as close-on-exec as all others.
pub(super) struct Passage<'fd> {
    descriptors: Vec<BorrowedFd<'fd>>,
}

impl<'fd> Passage<'fd> {
    /// Opens it for these.
    pub(super) fn open(descriptors: Vec<BorrowedFd<'fd>>) -> Result<Self, EstateError> {
        let passage = Self { descriptors };
        passage
            .descriptors
            .iter()
            .try_for_each(|descriptor| inherited::hand_on(*descriptor, true))
            .map_err(system("hand on"))?;
        Ok(passage)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        for descriptor in &self.descriptors {
            // Setting the flag of an open descriptor does not fail.
            let _ = inherited::hand_on(*descriptor, false);
        }
    }
}

/// The number of a descriptor.
pub(super) fn number(descriptor: impl AsFd) -> Number {
    descriptor.as_fd().as_raw_fd()
}

fn system(doing: &'static str) -> impl Fn(std::io::Error) -> EstateError {
    move |source| EstateError::System { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estate() -> Estate {
        Estate {
            format: FORMAT,
            keeper_pid: 1,
            installed: "/usr/bin/seawall".into(),
            config: "/etc/seawall/seawall.toml".into(),
            state_dir: "/var/lib/seawall".into(),
            run_dir: "/run/seawall".into(),
            metrics: None,
            asked_backend: None,
            backend: "nft".to_owned(),
            layout: Layout::default(),
            mode: Mode::Open,
            rules: Some(WantedRules { epoch: 3, mode: Mode::Lockdown, judge_loopback: true }),
            mended: 2,
            crashes: 1,
            accounting_was_off: true,
            lock: 0,
            applicant: None,
            descriptors: Vec::new(),
            worker: None,
            guardian: None,
        }
    }

    #[test]
    fn an_estate_is_read_as_it_was_written_with_its_descriptors() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("there is one"));
        let (lock, queue) = (file(), file());
        let mut written = estate();
        written.lock = number(&lock);
        written.descriptors = vec![("queue/new".to_owned(), number(&queue))];
        let memory = written.write().expect("there is room");
        let at = number(&memory);
        assert!(Estate::take(at).is_err(), "nothing was handed on yet");
        let passage =
            Passage::open(vec![lock.as_fd(), queue.as_fd(), memory.as_fd()]).expect("flags");
        // As an exec does: nobody has the descriptors any more, and they are open.
        std::mem::forget(passage);
        std::mem::forget((lock, queue, memory));
        let read = Estate::take(at).expect("handed on");
        assert_eq!(read.rules, written.rules);
        let belongings = read.take_belongings().expect("all there");
        assert!(belongings.descriptors.contains_key("queue/new"));
        assert!(read.take_belongings().is_err(), "they are taken");
    }

    #[test]
    fn a_passage_that_was_not_used_closes_again() {
        let file = OwnedFd::from(std::fs::File::open("/dev/null").expect("there is one"));
        drop(Passage::open(vec![file.as_fd()]).expect("flags can be set"));
        assert!(adopt("it", number(&file)).is_err());
    }

    #[test]
    fn an_estate_of_another_format_is_refused() {
        let memory = Estate { format: FORMAT + 1, ..estate() }.write().expect("there is room");
        let at = number(&memory);
        std::mem::forget(Passage::open(vec![memory.as_fd()]).expect("flags can be set"));
        std::mem::forget(memory);
        assert!(matches!(Estate::take(at), Err(EstateError::Missing(_))));
    }
}
