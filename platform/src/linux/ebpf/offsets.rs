//! Where this kernel keeps what the programs look at.

use seawall_ebpf_abi::Offsets;

use super::NotesError;
use super::btf::Btf;

/// Where the kernel describes itself.
const DESCRIPTION: &str = "/sys/kernel/btf/vmlinux";

/// Of the running kernel.
pub(super) fn of_this_kernel() -> Result<Offsets, NotesError> {
    find(&Btf::parse(&description()?)?)
}

/// The number of the type of one of its functions.
pub(super) fn function_of_this_kernel(name: &str) -> Result<u32, NotesError> {
    Btf::parse(&description()?)?.function(name)
}

fn description() -> Result<Vec<u8>, NotesError> {
    std::fs::read(DESCRIPTION).map_err(|error| NotesError::Btf(format!("{DESCRIPTION}: {error}")))
}

fn find(btf: &Btf<'_>) -> Result<Offsets, NotesError> {
    let at = |structure, field| btf.offset_of(structure, field);
    Ok(Offsets {
        task_group_leader: at("task_struct", "group_leader")?,
        // Before Linux 5.5 it was called real_start_time: other programs would be needed there, too.
        task_start_boottime: at("task_struct", "start_boottime")?,
        task_self_exec_id: at("task_struct", "self_exec_id")?,
        task_real_parent: at("task_struct", "real_parent")?,
        task_tgid: at("task_struct", "tgid")?,
        task_mm: at("task_struct", "mm")?,
        task_fs: at("task_struct", "fs")?,
        task_nsproxy: at("task_struct", "nsproxy")?,
        task_comm: at("task_struct", "comm")?,
        nsproxy_mnt_ns: at("nsproxy", "mnt_ns")?,
        mnt_namespace_inum: at("mnt_namespace", "ns.inum")?,
        mm_exe_file: at("mm_struct", "exe_file")?,
        mm_arg_start: at("mm_struct", "arg_start")?,
        mm_arg_end: at("mm_struct", "arg_end")?,
        file_path: at("file", "f_path")?,
        path_mnt: at("path", "mnt")?,
        path_dentry: at("path", "dentry")?,
        fs_pwd: at("fs_struct", "pwd")?,
        fs_root: at("fs_struct", "root")?,
        task_cred: at("task_struct", "cred")?,
        cred_user_ns: at("cred", "user_ns")?,
        user_namespace_inum: at("user_namespace", "ns.inum")?,
        cred_euid: at("cred", "euid")?,
        task_cgroups: at("task_struct", "cgroups")?,
        css_set_default: at("css_set", "dfl_cgrp")?,
        cgroup_node: at("cgroup", "kn")?,
        node_id: at("kernfs_node", "id")?,
        sock_namespace: at("sock_common", "skc_net.net")?,
        namespace_cookie: at("net", "net_cookie")?,
        dentry_parent: at("dentry", "d_parent")?,
        dentry_name: at("dentry", "d_name.name")?,
        dentry_inode: at("dentry", "d_inode")?,
        dentry_hash_pprev: at("dentry", "d_hash.pprev")?,
        inode_number: at("inode", "i_ino")?,
        inode_super: at("inode", "i_sb")?,
        super_device: at("super_block", "s_dev")?,
        vfsmount_root: at("vfsmount", "mnt_root")?,
        mount_mnt: at("mount", "mnt")?,
        mount_parent: at("mount", "mnt_parent")?,
        mount_mountpoint: at("mount", "mnt_mountpoint")?,
        sock_family: at("sock_common", "skc_family")?,
        sock_local_port: at("sock_common", "skc_num")?,
        sock_remote_port: at("sock_common", "skc_dport")?,
        sock_local_v4: at("sock_common", "skc_rcv_saddr")?,
        sock_remote_v4: at("sock_common", "skc_daddr")?,
        sock_local_v6: at("sock_common", "skc_v6_rcv_saddr")?,
        sock_remote_v6: at("sock_common", "skc_v6_daddr")?,
        sock_cookie: at("sock_common", "skc_cookie")?,
        sock_protocol: at("sock", "sk_protocol")?,
        sock_type: at("sock", "sk_type")?,
        skb_sock: at("sk_buff", "sk")?,
        skb_head: at("sk_buff", "head")?,
        skb_network_header: at("sk_buff", "network_header")?,
        sock_socket: at("sock", "sk_socket")?,
        socket_file: at("socket", "file")?,
        hook_state_hook: at("nf_hook_state", "hook")?,
        hook_state_family: at("nf_hook_state", "pf")?,
    })
}
