//! The terminal: asks without echo, but for what is no secret. Octet by octet into one buffer that never moves: a reader that buffers would leave what was
//! typed behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, getppid};
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize, Zeroizing};

use crate::secret::Secret;

/// The controlling terminal, taken out of its line mode; as it was again when this is dropped.
pub(super) struct Terminal {
    tty: File,
    before: Termios,
    parent: Option<Pid>,
}

impl Terminal {
    /// What was typed before is thrown away: it was meant for somebody else.
    pub(super) fn open() -> io::Result<Terminal> {
        let no_ctty = rustix::fs::OFlags::NOCTTY.bits();
        // The bits of open(2) are an int.
        let flags = i32::try_from(no_ctty).map_err(io::Error::other)?;
        let tty = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty")?;
        let before = tcgetattr(&tty)?;
        let mut hidden = before.clone();
        // Without ISIG a ^C is read here, and the terminal is put back before anything ends.
        hidden.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        hidden.input_modes |= InputModes::ICRNL;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&tty, OptionalActions::Flush, &hidden)?;
        Ok(Terminal { tty, before, parent: getppid() })
    }

    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.tty.write_all(text.as_bytes())
    }

    /// One line of at most `most` octets, without its end. `Interrupted`: ^C or ^D, or whoever asked has gone.
    pub(super) fn hidden(&mut self, most: usize) -> io::Result<Secret> {
        let mut line = Zeroizing::new(Vec::with_capacity(most));
        loop {
            match self.octet()? {
                b'\r' | b'\n' => break,
                // ^C, ^D
                0x03 | 0x04 => return Err(io::ErrorKind::Interrupted.into()),
                // ^U
                0x15 => line.zeroize(),
                // A character of UTF-8 ends with its first octet.
                0x08 | 0x7f => while line.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {},
                octet if octet < b' ' || line.len() >= most => self.say("\x07")?,
                octet => line.push(octet),
            }
        }
        self.say("\n")?;
        Ok(Secret::new(std::mem::take(&mut *line)))
    }

    /// The same for what is no secret: printable ASCII, shown as it is typed.
    pub(super) fn shown(&mut self, most: usize) -> io::Result<String> {
        let mut line = String::with_capacity(most);
        loop {
            match self.octet()? {
                b'\r' | b'\n' => break,
                0x03 | 0x04 => return Err(io::ErrorKind::Interrupted.into()),
                0x15 => {
                    self.say(&"\x08 \x08".repeat(line.len()))?;
                    line.clear();
                }
                0x08 | 0x7f => {
                    if line.pop().is_some() {
                        self.say("\x08 \x08")?;
                    }
                }
                octet if !(octet == b' ' || octet.is_ascii_graphic()) || line.len() >= most => self.say("\x07")?,
                octet => {
                    line.push(octet.into());
                    self.tty.write_all(&[octet])?;
                }
            }
        }
        self.say("\n")?;
        Ok(line)
    }

    fn octet(&mut self) -> io::Result<u8> {
        octet(&mut self.tty, self.parent)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The next octet; `None` at the end. A gate whose parent was killed must not keep the terminal, nor wait for ever: it looks once
/// a second.
pub(super) fn octet(from: &mut File, parent: Option<Pid>) -> io::Result<Option<u8>> {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    loop {
        let mut ready = [PollFd::new(from, PollFlags::IN)];
        if poll(&mut ready, Some(&second))? > 0 {
            let mut octet = Zeroizing::new([0]);
            return Ok(match from.read(octet.as_mut_slice())? {
                0 => None,
                _ => octet.first().copied(),
            });
        }
        if getppid() != parent {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}
