//! Seawall as a service manager runs it: told, watched, its descriptors kept
//! beyond its death; and what holds at boot before it is there.

#[path = "faults/load.rs"]
#[allow(dead_code, reason = "the load of the fault tests, of which a part is used here")]
mod load;
#[path = "upgrade/rig.rs"]
#[allow(dead_code, reason = "the rig of the upgrade tests, of which a part is used here")]
mod rig;

mod service {
    pub(crate) mod early;
    pub(crate) mod install;
    pub(crate) mod manager;
    pub(crate) mod store;
    pub(crate) mod units;
}
