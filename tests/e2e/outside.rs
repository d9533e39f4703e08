//! What others change around a running Seawall: routes, interfaces, addresses,
//! tunnels, rules, other firewalls, containers, files, the clock. Open connections
//! live on, new ones are judged, forbidden ones stay forbidden, and Seawall
//! says that it protects.

mod outside {
    pub(crate) mod addresses;
    pub(crate) mod clock;
    pub(crate) mod containers;
    pub(crate) mod firewalls;
    pub(crate) mod flushes;
    pub(crate) mod links;
    pub(crate) mod names;
    pub(crate) mod scene;
    pub(crate) mod tunnel;
}
