//! Other programs' rules and marks beside ours: their marks pass unchanged,
//! traffic flows, and no value of theirs skips judgement.

mod foreign {
    pub(crate) mod marks;
    pub(crate) mod tools;
}
