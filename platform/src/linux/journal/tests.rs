use super::*;

fn duplicate(journal: &Journal) -> OwnedFd {
    journal.as_fd().try_clone_to_owned().expect("a descriptor can be duplicated")
}

fn write_message(journal: &Journal, slot: u32, length_bytes: u32) {
    journal.raise_high_water(slot + 1);
    journal.memory.store(slot_offset(slot) + MESSAGE_OFFSET, length_bytes);
}

#[test]
fn what_one_process_wrote_the_next_one_reads() {
    let journal = Journal::create(100).expect("a journal");
    write_message(&journal, 3, 40);
    write_message(&journal, 7, 100_000);
    journal.count_crash(7);
    journal.set_in_hand(Some(7));

    let successor = Journal::open(duplicate(&journal)).expect("a readable journal");
    drop(journal);
    assert_eq!(successor.slots(), 100);
    assert_eq!(successor.high_water(), 8);
    assert_eq!(successor.in_hand(), Some(7));
    let in_use: Vec<u32> = (0..8).filter(|&slot| successor.in_use(slot)).collect();
    assert_eq!(in_use, [3, 7]);
    assert_eq!((successor.crashes(3), successor.crashes(7)), (0, 1));
    let mut buffer = [0; MAX_MESSAGE_BYTES];
    assert_eq!(successor.message(3, &mut buffer).len(), 40);
    assert_eq!(successor.message(7, &mut buffer).len(), MAX_MESSAGE_BYTES);

    successor.free(7);
    assert!(!successor.in_use(7));
    assert_eq!(successor.crashes(7), 0, "the next packet starts without blame");
    successor.set_in_hand(None);
    assert_eq!(successor.in_hand(), None);
}

#[test]
fn a_damaged_journal_is_refused() {
    let damages: [(&str, usize, u32); 6] = [
        ("magic", header::MAGIC, 0),
        ("version", header::VERSION, VERSION + 1),
        ("slot size", header::SLOT_BYTES, 256),
        ("slot count", header::SLOTS, 9),
        ("high water", header::HIGH_WATER, 11),
        ("slot in hand", header::IN_HAND, 11),
    ];
    for (name, offset, value) in damages {
        let journal = Journal::create(10).expect("a journal");
        assert!(Journal::open(duplicate(&journal)).is_ok());
        journal.memory.store(offset, value);
        let refused = Journal::open(duplicate(&journal));
        assert!(matches!(refused, Err(JournalError::Unreadable)), "{name}");
    }
}

#[test]
fn memory_that_could_vanish_is_refused() {
    let file = tempfile_of(size_bytes(10));
    assert!(matches!(Journal::open(file), Err(JournalError::Unreadable)));
    let unsealed =
        rustix::fs::memfd_create("unsealed", MemfdFlags::ALLOW_SEALING).expect("a memfd");
    rustix::fs::ftruncate(&unsealed, size_bytes(10) as u64).expect("a size");
    assert!(matches!(Journal::open(unsealed), Err(JournalError::Unreadable)));
    let journal = Journal::create(10).expect("a journal");
    assert!(rustix::fs::ftruncate(&journal.fd, 0).is_err(), "sealed against shrinking");
}

#[test]
fn the_number_of_slots_is_bounded() {
    assert_eq!(Journal::create(0).expect("a journal").slots(), 1);
    assert_eq!(Journal::create(u32::MAX).expect("a journal").slots(), MAX_SLOTS);
}

fn tempfile_of(length_bytes: usize) -> OwnedFd {
    let directory = std::env::temp_dir();
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let file = rustix::fs::open(&directory, flags, mode).expect("an unnamed file");
    rustix::fs::ftruncate(&file, length_bytes as u64).expect("a size");
    file
}
