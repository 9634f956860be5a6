//! Which Python objects a pickle asks for: a look at its instructions, nothing of which is carried out.

use std::collections::HashMap;

/// The name of the first object that no tensor needs, such as `posix.system`, in up to `pickles` pickles one after the
/// other. `None` too where the bytes stop being a pickle: that is for the reader to report.
///
/// This only finds the name for a message. The reader builds nothing but tensors and containers, whatever is asked for.
pub(super) fn refused_global(bytes: &[u8], pickles: usize) -> Option<String> {
    let mut scan = Scan { rest: bytes, memo: HashMap::new(), memo_count: 0, last: None, strings: [None, None] };
    for _ in 0..pickles {
        match scan.one()? {
            Found::End => {}
            Found::Refused(name) => return Some(name),
        }
    }
    None
}

/// Whether rebuilding a tensor or a container of tensors takes this object.
fn is_needed(module: &str, name: &str) -> bool {
    match module {
        "collections" => name == "OrderedDict",
        "builtins" | "__builtin__" => matches!(name, "set" | "frozenset"),
        "torch" => name.ends_with("Storage") || matches!(name, "Size" | "float16" | "bfloat16" | "float32" | "float64"),
        "torch.storage" => matches!(name, "UntypedStorage" | "TypedStorage"),
        "torch._utils" => matches!(
            name,
            "_rebuild_tensor"
                | "_rebuild_tensor_v2"
                | "_rebuild_tensor_v3"
                | "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
        ),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.nn.parameter" => matches!(name, "Parameter" | "Buffer"),
        _ => false,
    }
}

enum Found {
    End,
    Refused(String),
}

struct Scan<'a> {
    rest: &'a [u8],
    memo: HashMap<u64, String>,
    memo_count: u64,
    /// What the last instruction left, if it was a string.
    last: Option<String>,
    /// The two strings left last.
    strings: [Option<String>; 2],
}

impl Scan<'_> {
    /// Goes through one pickle; `None` if it is broken.
    fn one(&mut self) -> Option<Found> {
        self.memo.clear();
        self.memo_count = 0;
        loop {
            let string = self.last.take();
            match self.take(1)?[0] {
                b'.' => return Some(Found::End),
                b'c' | b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    if !is_needed(&module, &name) {
                        return Some(Found::Refused(format!("{module}.{name}")));
                    }
                }
                // STACK_GLOBAL takes module and name from the stack, where they were put last.
                0x93 => {
                    let [module, name] = self.strings.each_mut().map(|string| string.take().unwrap_or_default());
                    if !is_needed(&module, &name) {
                        return Some(Found::Refused(format!("{module}.{name}")));
                    }
                }
                b'X' | b'T' => self.string(4)?,
                b'U' | 0x8c => self.string(1)?,
                0x8d => self.string(8)?,
                b'V' | b'S' => {
                    let line = self.line()?;
                    self.found_string(line.trim_matches(['\'', '"']).into());
                }
                b'B' | 0x8b => self.counted(4).map(drop)?,
                b'C' | 0x8a => self.counted(1).map(drop)?,
                0x8e | 0x96 => self.counted(8).map(drop)?,
                0x94 => {
                    self.put(self.memo_count, string);
                    self.memo_count += 1;
                }
                b'q' => self.number(1).map(|index| self.put(index, string))?,
                b'r' => self.number(4).map(|index| self.put(index, string))?,
                b'p' => self.line().map(|index| self.put(index.parse().unwrap_or(0), string))?,
                b'h' => self.number(1).map(|index| self.get(index))?,
                b'j' => self.number(4).map(|index| self.get(index))?,
                b'g' => self.line().map(|index| self.get(index.parse().unwrap_or(0)))?,
                b'F' | b'I' | b'L' | b'P' => self.line().map(drop)?,
                b'K' | 0x80 | 0x82 => self.take(1).map(drop)?,
                b'M' | 0x83 => self.take(2).map(drop)?,
                b'J' | 0x84 => self.take(4).map(drop)?,
                b'G' | 0x95 => self.take(8).map(drop)?,
                _ => {}
            }
        }
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A little-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// So many bytes as the number before them says.
    fn counted(&mut self, width: usize) -> Option<&[u8]> {
        let count = usize::try_from(self.number(width)?).ok()?;
        self.take(count)
    }

    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(self.take(end + 1)?).trim_end().to_string();
        Some(line)
    }

    fn string(&mut self, width: usize) -> Option<()> {
        let string = String::from_utf8_lossy(self.counted(width)?).into_owned();
        self.found_string(string);
        Some(())
    }

    fn found_string(&mut self, string: String) {
        self.strings.swap(0, 1);
        self.strings[1] = Some(string.clone());
        self.last = Some(string);
    }

    fn put(&mut self, index: u64, string: Option<String>) {
        if let Some(string) = string {
            self.memo.insert(index, string);
        }
    }

    fn get(&mut self, index: u64) {
        if let Some(string) = self.memo.get(&index).cloned() {
            self.found_string(string);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_objects_are_named() {
        let refused = |bytes: &[u8]| refused_global(bytes, 1);
        let system = Some("posix.system".to_string());
        // What Python 3 makes of an object whose __reduce__ gives (os.system, ("true",)), in protocols 0, 2 and 4.
        assert_eq!(refused(b"cposix\nsystem\np0\n(Vtrue\np1\ntp2\nRp3\n."), system);
        assert_eq!(refused(b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03."), system);
        let protocol4 =
            b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.";
        assert_eq!(refused(protocol4), system);
        // The second time, the names come from the memo: OrderedDict, then a class whose module was seen before.
        let memo = b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94h\x00\x8c\x05Chain\x93.";
        assert_eq!(refused(memo), Some("collections.Chain".into()));
        assert_eq!(refused(b"(iposix\nsystem\n."), system);
    }

    #[test]
    fn tensors_are_not_refused_and_broken_pickles_are_left_to_the_reader() {
        let needed =
            b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n.";
        assert_eq!(refused_global(needed, 1), None);
        for end in 0..needed.len() {
            assert_eq!(refused_global(&needed[..end], 1), None);
        }
        // A long text is no instruction, and the second pickle counts only where it is asked for.
        let two = b"\x80\x02X\x0e\x00\x00\x00cposix\nsystem\n.\x80\x02cposix\nsystem\n.";
        assert_eq!(refused_global(two, 1), None);
        assert_eq!(refused_global(two, 2), Some("posix.system".into()));
    }
}
