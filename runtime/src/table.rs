//! A bounded map that forgets what has not been used for longest, roughly.

use std::collections::HashMap;
use std::hash::Hash;

/// Two maps: the young one takes what is new or used again; when it is full it
/// becomes the old one, and what the old one held is forgotten. Bounded,
/// without a list to keep in order, and no scan ever.
#[derive(Debug)]
pub struct BoundedTable<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Copy, V: Clone> BoundedTable<K, V> {
    /// Holds at most `bound` entries, and of the last used at least 7/16 of that many.
    pub fn new(bound: usize) -> Self {
        let half = fill(bound / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            // The old map's memory serves the new young one.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    /// Finds an entry and keeps it young.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.insert(*key, value);
        }
        self.young.get(key)
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// All entries with their keys, in no order, each once.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        let old = self.old.iter().filter(|(key, _)| !self.young.contains_key(*key));
        self.young.iter().chain(old)
    }

    /// All entries, in no order, each once.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries().map(|(_, value)| value)
    }
}

/// At most so many that a hash map doesn't double its memory for the last few: it has a power of two
/// of places and fills seven of eight.
fn fill(entries: usize) -> usize {
    let places = entries.max(8).next_power_of_two();
    entries.min(places / 8 * 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_holds_more_than_its_bound_and_keeps_what_is_used() {
        let mut table = BoundedTable::new(100);
        table.insert(0, "kept");
        for key in 1..10_000 {
            table.insert(key, "passing");
            assert!(table.values().count() <= 100);
            assert_eq!(table.get(&0), Some(&"kept"));
        }
        assert_eq!(table.get(&1), None);
        table.remove(&0);
        assert_eq!(table.get(&0), None);
    }

    #[test]
    fn memory_is_not_doubled_for_the_last_few() {
        for (wanted, expected) in
            [(1, 1), (8, 7), (50, 50), (57, 56), (8_192, 7_168), (10_000, 10_000)]
        {
            assert_eq!(fill(wanted), expected);
            let mut map = HashMap::new();
            map.extend((0..expected).map(|number| (number, ())));
            assert!(map.capacity() < 2 * expected.max(4), "{} for {expected}", map.capacity());
        }
    }
}
