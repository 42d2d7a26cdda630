//! The corpus and its notation.

/// One hostile string.
pub struct Sample {
    pub name: String,
    pub bytes: Vec<u8>,
    /// `None` when it is no UTF-8.
    pub text: Option<String>,
}

impl Sample {
    pub fn is_ascii(&self) -> bool {
        self.bytes.is_ascii()
    }
}

pub fn corpus() -> Vec<Sample> {
    let lines = include_str!("corpus.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples: Vec<Sample> = lines
        .map(|line| {
            let (name, string) = line.split_once(' ').unwrap_or((line, ""));
            let bytes = unescape(string);
            Sample { name: name.into(), text: String::from_utf8(bytes.clone()).ok(), bytes }
        })
        .collect();
    assert!(samples.len() > 80);
    samples
}

/// `\u{hex}`, `\x{hex}`, `\\` and `\{N*text}`.
pub fn unescape(string: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = string;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let kind = after.chars().next().expect("a backslash begins something");
        let inside = |at: usize| {
            let end = at + closing(&after[at..]);
            (&after[at..end], &after[end + 1..])
        };
        rest = match kind {
            '\\' => {
                out.push(b'\\');
                &after[1..]
            }
            '{' => {
                let (inside, rest) = inside(1);
                let (times, text) = inside.split_once('*').unwrap();
                out.extend(unescape(text).repeat(times.parse().unwrap()));
                rest
            }
            'u' | 'x' => {
                let (inside, rest) = inside(2);
                let code = u32::from_str_radix(inside, 16).unwrap();
                match kind {
                    'u' => out.extend(char::from_u32(code).unwrap().to_string().bytes()),
                    _ => out.push(u8::try_from(code).unwrap()),
                }
                rest
            }
            other => panic!("`\\{other}` means nothing"),
        };
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Where the brace before `text` is closed.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let at = |(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    };
    text.char_indices().find_map(at).expect("an open brace")
}
