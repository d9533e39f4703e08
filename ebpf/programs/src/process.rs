//! Notes a process once: its file's path, its arguments, where it stands.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_loop, bpf_probe_read_kernel,
    bpf_probe_read_kernel_str, bpf_probe_read_user,
};
use seawall_ebpf_abi::{
    ARGUMENTS_BYTES, DIRECTORY_BYTES, PATH_BYTES, ProcessId, ProcessRecord, event, flag, loss,
};

use crate::kernel::{field, offset, read};
use crate::maps::{BLANK, EVENTS, PROCESSES, ProcessEvent, lost};

/// Components of a path that are walked, mount points included.
const MOST_STEPS: u32 = 128;
/// Longest name of one component, with the zero byte at its end.
pub const NAME_BYTES: usize = 256;
/// BPF_RB_NO_WAKEUP (linux/bpf.h): whoever reads the events comes by itself.
pub const NO_WAKEUP: u64 = 1;
/// BPF_RB_FORCE_WAKEUP.
pub const FORCE_WAKEUP: u64 = 2;

/// The calling process.
#[derive(Clone, Copy)]
pub struct Caller {
    /// Which process.
    pub id: ProcessId,
    /// Its effective user id.
    pub uid: u32,
}

impl Caller {
    /// The process that runs right now.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: a helper without arguments.
        let task = unsafe { bpf_get_current_task_btf() }.cast_const().cast::<c_void>();
        // Not all kinds of programs may use the helpers that tell these on older kernels.
        let leader: *const c_void = field(task, offset!(task_group_leader));
        let credentials: *const c_void = field(task, offset!(task_cred));
        let id = ProcessId {
            started_ns: field(leader, offset!(task_start_boottime)),
            pid: field(task, offset!(task_tgid)),
            exec_id: field::<u32>(task, offset!(task_self_exec_id)),
        };
        Self { id, uid: field(credentials, offset!(cred_euid)) }
    }

    /// Makes sure that user space learns of it.
    #[inline(always)]
    pub fn note(&self) {
        if PROCESSES.get_ptr(self.id).is_none() {
            note_process(self);
        }
    }
}

/// Puts the record together, keeps it and sends it: in the ring buffer itself,
/// because the stack has no room for it, and memory that others share might be
/// written by two programs at once.
#[inline(never)]
fn note_process(caller: &Caller) {
    let Some(mut event) = EVENTS.reserve::<ProcessEvent>(0) else {
        return lost(loss::RING);
    };
    // SAFETY: integers only, all of which are written below or by then.
    let told = unsafe { &mut *event.as_mut_ptr() };
    told.head.kind = event::PROCESS;
    told.head.padding = 0;
    let record = &mut told.record;
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    describe(caller, task, record);
    // In this order: a last name may spill over what follows.
    walk_directory(task, record);
    walk_path(task, record);
    read_arguments(task, record);
    if !keep(caller, record) {
        lost(loss::PROCESSES);
    }
    record.process = caller.id;
    event.submit(NO_WAKEUP);
}

/// Keeps a record that doesn't name its process yet. The verifier of Linux 6.1 takes no memory of the
/// ring buffer for a map's value: so a blank one is put there, and filled in. The id comes last:
/// a record without it is not whole.
#[inline(always)]
fn keep(caller: &Caller, record: &ProcessRecord) -> bool {
    let Some(blank) = BLANK.get_ptr(0) else { return false };
    // SAFETY: nobody ever writes it.
    if PROCESSES.insert(caller.id, unsafe { &*blank }, 0).is_err() {
        return false;
    }
    let Some(kept) = PROCESSES.get_ptr_mut(caller.id) else { return false };
    // SAFETY: both are records. If the entry went away meanwhile, what has its place now doesn't have
    // this process's id for a key, and is taken for one that is not whole.
    unsafe {
        bpf_probe_read_kernel(
            kept.cast::<c_void>(),
            size_of::<ProcessRecord>() as u32,
            core::ptr::from_ref(record).cast::<c_void>(),
        );
        core::ptr::write_volatile(&raw mut (*kept).process, caller.id);
    }
    true
}

#[inline(always)]
fn describe(caller: &Caller, task: u64, record: &mut ProcessRecord) {
    let parent: u64 = read(task + offset!(task_real_parent));
    let namespaces: u64 = read(task + offset!(task_nsproxy));
    let mount_namespace: u64 = read(namespaces + offset!(nsproxy_mnt_ns));
    record.process = ProcessId { started_ns: 0, pid: 0, exec_id: 0 };
    let groups: u64 = read(task + offset!(task_cgroups));
    let group: u64 = read(groups + offset!(css_set_default));
    let node: u64 = read(group + offset!(cgroup_node));
    record.cgroup = read(node + offset!(node_id));
    record.mount_namespace = read(mount_namespace + offset!(mnt_namespace_inum));
    let credentials: u64 = read(task + offset!(task_cred));
    let user_namespace: u64 = read(credentials + offset!(cred_user_ns));
    record.user_namespace = read(user_namespace + offset!(user_namespace_inum));
    let fs: u64 = read(task + offset!(task_fs));
    record.root = read(fs + offset!(fs_root) + offset!(path_dentry));
    record.uid = caller.uid;
    record.parent_pid = read(parent + offset!(task_tgid));
    record.flags = 0;
    record.path_length = 0;
    record.directory_length = 0;
    record.arguments_length = 0;
    record.padding = [0; 2];
    record.device = 0;
    record.inode = 0;
    let leader: u64 = read(task + offset!(task_group_leader));
    record.comm = read(leader + offset!(task_comm));
}

/// One path being walked from its end to its root.
#[repr(C)]
struct Walk {
    /// Where names are written.
    target: *mut u8,
    /// Address of the `struct mount` that is walked.
    mount: u64,
    /// Address of the `struct dentry` whose name is next.
    entry: u64,
    /// Bytes written.
    length: u32,
    /// With so many bytes written, no further name is.
    most: u32,
    /// 0 once the root is reached, else 1.
    cut: u32,
}

/// The file that the process runs, with its path.
#[inline(always)]
fn walk_path(task: u64, record: &mut ProcessRecord) {
    let memory: u64 = read(task + offset!(task_mm));
    if memory == 0 {
        record.flags |= flag::KERNEL;
        return;
    }
    let file: u64 = read(memory + offset!(mm_exe_file));
    if file == 0 {
        record.flags |= flag::NO_PATH;
        return;
    }
    let path = file + offset!(file_path);
    let entry: u64 = read(path + offset!(path_dentry));
    let inode: u64 = read(entry + offset!(dentry_inode));
    let super_block: u64 = read(inode + offset!(inode_super));
    record.inode = read(inode + offset!(inode_number));
    record.device = read(super_block + offset!(super_device));
    // d_unhashed(): the name was taken away. A file of a memory has none to begin with.
    if read::<u64>(entry + offset!(dentry_hash_pprev)) == 0 {
        record.flags |= flag::DELETED;
    }
    let target = record.path.as_mut_ptr();
    let (length, cut) = walk(path, target, (PATH_BYTES - NAME_BYTES) as u32);
    record.path_length = length;
    if cut {
        record.flags |= flag::PATH_CUT;
    }
}

/// The process's working directory.
#[inline(always)]
fn walk_directory(task: u64, record: &mut ProcessRecord) {
    let fs: u64 = read(task + offset!(task_fs));
    if fs == 0 {
        return;
    }
    let target = record.directory.as_mut_ptr();
    // A last name may spill over what follows, which is written afterwards.
    let (length, cut) = walk(fs + offset!(fs_pwd), target, DIRECTORY_BYTES as u32 - 1);
    let fits = (length as usize) < DIRECTORY_BYTES;
    record.directory_length = if fits { length } else { 0 };
    if cut || !fits {
        record.flags |= flag::DIRECTORY_CUT;
    }
}

/// Writes the names of a path's components, last first. Returns how many bytes, and whether some are missing.
#[inline(always)]
fn walk(path: u64, target: *mut u8, most: u32) -> (u16, bool) {
    let mount: u64 = read(path + offset!(path_mnt));
    let mut walk = Walk {
        target,
        mount: mount.wrapping_sub(offset!(mount_mnt)),
        entry: read(path + offset!(path_dentry)),
        length: 0,
        most,
        cut: 1,
    };
    // SAFETY: the callback is called with the walk alone, which outlives the loop.
    unsafe {
        bpf_loop(
            MOST_STEPS,
            step as *mut c_void,
            core::ptr::from_mut(&mut walk).cast::<c_void>(),
            0,
        );
    }
    (walk.length as u16, walk.cut != 0)
}

/// One component, or one step from a mounted root to where it is mounted. 1 ends the walk, 0 goes on.
#[inline(never)]
extern "C" fn step(_index: u64, walk: *mut Walk) -> i64 {
    // SAFETY: `walk` gives its own, which nobody else knows of.
    let walk = unsafe { &mut *walk };
    let root: u64 = read(walk.mount + offset!(mount_mnt) + offset!(vfsmount_root));
    if walk.entry == root {
        let parent: u64 = read(walk.mount + offset!(mount_parent));
        if parent == walk.mount {
            walk.cut = 0;
            return 1;
        }
        walk.entry = read(walk.mount + offset!(mount_mountpoint));
        walk.mount = parent;
        return 0;
    }
    let parent: u64 = read(walk.entry + offset!(dentry_parent));
    if parent == walk.entry && walk.length > 0 {
        // The root of something that is mounted nowhere.
        walk.cut = 0;
        return 1;
    }
    // Read once: the verifier of Linux 6.1 knows no bound of what lies in the walk, only of what was
    // compared.
    // SAFETY: a plain integer of the walk.
    let length = unsafe { core::ptr::read_volatile(&raw const walk.length) };
    if length >= walk.most || length > (PATH_BYTES - NAME_BYTES) as u32 {
        return 1;
    }
    let name: u64 = read(walk.entry + offset!(dentry_name));
    // SAFETY: `length` is at most `PATH_BYTES - NAME_BYTES`, so that a name of
    // `NAME_BYTES` ends within the record.
    let written = unsafe {
        bpf_probe_read_kernel_str(
            walk.target.add(length as usize).cast::<c_void>(),
            NAME_BYTES as u32,
            name as *const c_void,
        )
    };
    if written <= 0 || written > NAME_BYTES as i64 {
        return 1;
    }
    walk.length = length + written as u32;
    if parent == walk.entry {
        walk.cut = 0;
        return 1;
    }
    walk.entry = parent;
    0
}

/// What the process was started with, as far as there is room: its own memory, which it may have changed.
#[inline(always)]
fn read_arguments(task: u64, record: &mut ProcessRecord) {
    let memory: u64 = read(task + offset!(task_mm));
    if memory == 0 {
        return;
    }
    let start: u64 = read(memory + offset!(mm_arg_start));
    let end: u64 = read(memory + offset!(mm_arg_end));
    let mut length = end.wrapping_sub(start);
    if end < start {
        return;
    }
    if length > ARGUMENTS_BYTES as u64 {
        length = ARGUMENTS_BYTES as u64;
    }
    // SAFETY: `length` is at most the size of the target; the helper checks the source.
    let failed = unsafe {
        bpf_probe_read_user(
            record.arguments.as_mut_ptr().cast::<c_void>(),
            length as u32,
            start as *const c_void,
        )
    };
    record.arguments_length = if failed == 0 { length as u16 } else { 0 };
}
