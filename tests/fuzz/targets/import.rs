//! Any text that somebody may import, and what becomes of it when it is exported again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_messages::policy::{Import, PolicyRefusal};
use seawall_messages::setting::Values;
use seawall_policy::store::Edit;
use seawall_policy::stored::Stored;
use seawall_policy::transfer::{export, import};

fuzz_target!(|text: &str| {
    let asked = |text: &str| Import { text: text.to_owned(), dry_run: false, replace: true };
    let nothing = Stored::new(Values::new(), Vec::new());
    match import(&nothing, &[], &asked(text), &[], None, 0) {
        Ok((edit, _)) => {
            let stored = nothing.after(&edit);
            let again = export(stored.settings(), stored.networks(), &edit.profiles);
            let (edit, difference) = import(&stored, &edit.profiles, &asked(&again), &[], None, 0)
                .unwrap_or_else(|refusal| panic!("what was exported is refused: {refusal:?}"));
            assert_eq!((edit, difference.lines), (Edit::default(), Vec::new()), "{again}");
        }
        Err(PolicyRefusal::Invalid(why) | PolicyRefusal::Failed(why)) => {
            assert!(!why.is_empty(), "a refusal says why");
        }
    }
});
