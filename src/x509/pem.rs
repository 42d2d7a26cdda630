//! PEM (RFC 7468 §2): the blocks of a text, for whoever reads armour of any label.

use super::Error;

/// A block between its BEGIN and END lines.
#[derive(Debug)]
pub struct Block {
    pub label: String,
    /// What the base64 stands for, or what is wrong with the block.
    pub content: Result<Vec<u8>, Error>,
}

/// Every block of a text, in order. Text between blocks may be in any encoding; the blocks are ASCII.
pub fn blocks(text: &str) -> impl Iterator<Item = Block> {
    let mut lines = text.lines();
    std::iter::from_fn(move || next(&mut lines))
}

/// The next block; what stands behind it stays in `lines`.
pub(super) fn next<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<Block> {
    let label = lines.find_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
    let mut base64 = String::new();
    for line in lines {
        let line = line.trim();
        let Some(end) = line.strip_prefix("-----END ") else {
            base64.push_str(line);
            continue;
        };
        let content = match end.strip_suffix("-----") == Some(label) {
            true => data_encoding::BASE64
                .decode(base64.as_bytes())
                .map_err(|_| Error::Pem("the lines between are no base64")),
            false => Err(Error::Pem("there is no END line of the same label")),
        };
        return Some(Block { label: label.into(), content });
    }
    Some(Block { label: label.into(), content: Err(Error::Pem("there is no END line of the same label")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_read_and_a_damaged_one_says_what_is_wrong() {
        let text = "before\n-----BEGIN A-----\nAA==\n-----END A-----\n\n-----BEGIN B C-----\r\nAQ\r\n==\r\n-----END B C-----\r\n\
                    -----BEGIN D-----\n*\n-----END D-----\n-----BEGIN E-----\nAA==\n-----END F-----\n-----BEGIN G-----\nAA==\n";
        let read: Vec<(String, Result<Vec<u8>, String>)> =
            blocks(text).map(|block| (block.label, block.content.map_err(|e| e.to_string()))).collect();
        let labels: Vec<&str> = read.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["A", "B C", "D", "E", "G"]);
        assert_eq!((read[0].1.as_deref(), read[1].1.as_deref()), (Ok(&[0][..]), Ok(&[1][..])));
        for (damaged, why) in [(2, "no base64"), (3, "no END line"), (4, "no END line")] {
            assert!(read[damaged].1.as_ref().is_err_and(|e| e.contains(why)), "{read:?}");
        }
        assert!(blocks("no armour").next().is_none());
    }
}
