use super::*;

/// Kind, queue number, verdict code, id, mark.
type Read = (u16, u16, u32, u32, Option<u32>);

fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

/// Reads messages back, as the kernel would.
pub(in crate::linux::queue) fn read_back(verdicts: &Verdicts) -> Vec<Read> {
    let mut list = Vec::new();
    for mut chunk in verdicts.chunks() {
        while !chunk.is_empty() {
            let length = u32::from_ne_bytes(chunk[0..4].try_into().unwrap()) as usize;
            let kind = u16::from_ne_bytes(chunk[4..6].try_into().unwrap());
            let queue = u16::from_be_bytes(chunk[18..20].try_into().unwrap());
            let mark = (length == 40).then(|| word(chunk, 36));
            list.push((kind, queue, word(chunk, 24), word(chunk, 28), mark));
            chunk = &chunk[length..];
        }
    }
    list
}

#[test]
fn answers_become_verdicts() {
    let mut verdicts = Verdicts::default();
    verdicts.push(Reach::One, 7300, 1, Answer::Accept);
    verdicts.push(Reach::UpTo, 7301, u32::MAX, Answer::Drop);
    verdicts.push(Reach::One, 7301, 3, Answer::Repeat { mark: 0x9100_0001 });
    verdicts.push(Reach::UpTo, 7302, 4, Answer::HandOn { queue_number: 7304 });
    verdicts.repeat_as_they_are(7310, 5);
    assert_eq!(
        read_back(&verdicts),
        [
            (0x301, 7300, 1, 1, None),
            (0x303, 7301, 0, u32::MAX, None),
            (0x301, 7301, 4, 3, Some(0x9100_0001)),
            (0x303, 7302, 3 | 7304 << 16, 4, None),
            (0x303, 7310, 4, 5, None),
        ]
    );
    verdicts.clear();
    assert_eq!(verdicts.chunks().count(), 0);
}

#[test]
fn many_verdicts_go_in_several_sends_cut_between_messages() {
    let mut verdicts = Verdicts::default();
    for id in 0..5000 {
        let answer = if id % 3 == 0 { Answer::Repeat { mark: 1 } } else { Answer::Drop };
        verdicts.push(Reach::One, 7300, id, answer);
    }
    assert!(verdicts.chunks().count() > 1);
    assert!(verdicts.chunks().all(|chunk| chunk.len() <= CHUNK_BYTES));
    let ids: Vec<u32> = read_back(&verdicts).into_iter().map(|read| read.3).collect();
    assert_eq!(ids, (0..5000).collect::<Vec<u32>>());
}
