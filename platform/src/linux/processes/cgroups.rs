//! Control groups by their number, which is what the kernel notes of a process.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::{ProcessesError, failed, text};

/// Most bytes read of the list of mounts.
const MAX_MOUNTS_BYTES: u64 = 1024 * 1024;

/// The tree of control groups, version 2.
pub struct ControlGroups {
    mount: OwnedFd,
    mount_point: String,
}

impl ControlGroups {
    /// Finds where the tree is mounted. `None`: nowhere.
    pub fn open() -> Result<Option<Self>, ProcessesError> {
        Self::find().map_err(failed("open the control groups"))
    }

    fn find() -> std::io::Result<Option<Self>> {
        let mut mounts = Vec::new();
        File::open("/proc/self/mountinfo")?.take(MAX_MOUNTS_BYTES).read_to_end(&mut mounts)?;
        let Some(mount_point) = text::control_group_mount(&mounts) else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mount = rustix::fs::open(&mount_point, flags, Mode::empty())?;
        Ok(Some(Self { mount, mount_point }))
    }

    /// Path below the root of the control group with this number
    /// (`bpf_get_current_cgroup_id`), such as `/system.slice/ssh.service`.
    /// `None` where it is gone. Needs DAC_READ_SEARCH and Linux 5.5.
    pub fn path(&self, id: u64) -> Option<String> {
        let folder = system::open_by_number(&self.mount, id)?;
        let link = rustix::fs::readlink(
            format!("/proc/self/fd/{}", folder.as_raw_fd()),
            Vec::with_capacity(256),
        );
        let link = link.ok()?.into_string().ok()?;
        let path = link.strip_prefix(self.mount_point.as_str())?;
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        match path {
            "" => Some("/".to_owned()),
            path if path.starts_with('/') => Some(path.to_owned()),
            _ => None,
        }
    }
}

#[allow(unsafe_code, reason = "rustix has no open_by_handle_at")]
mod system {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    /// FILEID_KERNFS (linux/exportfs.h): the handle is the number, alone.
    const KERNFS_HANDLE: libc::c_int = 0xfe;

    /// `struct file_handle` with room for a number (open_by_handle_at(2)).
    #[repr(C)]
    struct Handle {
        bytes: libc::c_uint,
        kind: libc::c_int,
        number: [u8; 8],
    }

    pub(super) fn open_by_number(mount: &OwnedFd, id: u64) -> Option<OwnedFd> {
        let mut handle = Handle { bytes: 8, kind: KERNFS_HANDLE, number: id.to_ne_bytes() };
        // SAFETY: `handle` is laid out as struct file_handle with 8 bytes of handle, as it
        // says, and outlives the call; the mount's descriptor is open.
        let raw = unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                mount.as_raw_fd(),
                std::ptr::from_mut(&mut handle),
                libc::O_PATH | libc::O_CLOEXEC | libc::O_DIRECTORY,
            )
        };
        let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else has it.
        Some(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}
