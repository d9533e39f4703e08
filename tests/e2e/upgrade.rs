//! `seawall upgrade` under load: whatever the new program does, no connection
//! fails and none passes unjudged.

#[path = "faults/load.rs"]
#[allow(dead_code, reason = "the load of the fault tests, of which a part is used here")]
mod load;

mod upgrade {
    pub(crate) mod bad;
    pub(crate) mod good;
    pub(crate) mod refused;
    pub(crate) mod rig;
}
