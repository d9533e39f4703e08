//! Every connection has an owner: the right one, or for want of the kernel's
//! notes none, never a wrong one. Whatever dies meanwhile.
//!
//! `ONESHOTS` sets how many short-lived programs there are (10,000), `BULK_MIB`
//! how many MiB go each way where bytes are counted (256).

mod attribution {
    pub(crate) mod bytes;
    pub(crate) mod common;
    pub(crate) mod ends;
    pub(crate) mod forwarded;
    pub(crate) mod identity;
    pub(crate) mod leaks;
    pub(crate) mod oneshots;
    pub(crate) mod places;
    pub(crate) mod regulars;
    pub(crate) mod sums;
    pub(crate) mod survival;
    pub(crate) mod takeover;
}
