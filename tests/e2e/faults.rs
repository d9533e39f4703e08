//! Any part may die at any moment: no connection is lost, none is let through unjudged.

mod faults {
    pub(crate) mod absence;
    pub(crate) mod keeper;
    pub(crate) mod load;
    pub(crate) mod overflow;
    pub(crate) mod poison;
    pub(crate) mod sweep;
    pub(crate) mod table;
    pub(crate) mod worker;
}
