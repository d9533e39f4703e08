//! How much of the machine a process takes.

use rustix::param::page_size;

/// Memory and descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burden {
    /// Memory that is in use now, shared pages included.
    pub resident_bytes: u64,
    /// Open descriptors; `None` where we may not look.
    pub descriptors: Option<usize>,
}

/// What a process takes; `None` where there is no such process.
pub fn burden_of(pid: u32) -> Option<Burden> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let resident_pages = resident_pages(&statm)?;
    let page_bytes = u64::try_from(page_size()).ok()?;
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
    Some(Burden { resident_bytes: resident_pages.checked_mul(page_bytes)?, descriptors })
}

/// The second number of `/proc/PID/statm` (proc(5)).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_descriptors() {
        let before = burden_of(std::process::id()).expect("it runs");
        assert!(before.resident_bytes > 100_000, "{before:?}");
        let file = std::fs::File::open("/proc/self/stat").expect("a file");
        let after = burden_of(std::process::id()).expect("it runs");
        assert!(after.descriptors > Some(2), "{after:?}");
        drop(file);
        assert_eq!(burden_of(u32::MAX), None);
    }

    #[test]
    fn resident_pages_are_the_second_number() {
        assert_eq!(resident_pages("1000 250 90 1 0 300 0\n"), Some(250));
        assert_eq!(resident_pages("1000"), None);
        assert_eq!(resident_pages("a b"), None);
    }
}
