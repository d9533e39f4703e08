//! What can go wrong.

/// Why owners can't be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This incarnation was abandoned.
    #[error("{0}")]
    Abandoned(#[from] seawall_runtime::LeaseError),
    /// The notes of the kernel can't be read.
    #[error("can't read what the kernel noted: {0}")]
    Notes(#[from] seawall_platform::linux::ebpf::NotesError),
}
