//! Tar archives of folders of images, gzipped or not.

use std::collections::BTreeSet;
use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::folder::{Found, is_ignored, sort};
use super::source::{Encoded, Kind, Source};
use crate::{Error, Result};

pub(super) fn find(path: &Path) -> Result<Source> {
    let io = |source| Error::io(path, source);
    let fail = |reason: String| Error::Data { path: path.into(), reason };
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => fail("the archive is truncated".into()),
        ErrorKind::Other if ENDS.iter().any(|end| error.to_string().contains(end)) => {
            fail("the archive is truncated".into())
        }
        _ => fail(format!("the archive is broken: {}", error.to_string().escape_debug())),
    };
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(io)?);
    let is_gzipped = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
    let mut file: Box<dyn Read> = if is_gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // What comes for another kind of file reads as numbers and names that are none.
    let mut first = vec![];
    file.by_ref().take(BLOCK as u64).read_to_end(&mut first).map_err(broken)?;
    if !begins_archive(&first) {
        let reason = "is neither a folder nor a tar archive of image folders (gzipped or not); MNIST's and CIFAR-10's \
                      files are named by the folder that they are in";
        return Err(fail(reason.into()));
    }
    let mut ended = Ended { from: std::io::Cursor::new(first).chain(file), zeros: 0 };
    let (mut found, mut folders, mut links) = (vec![], vec![], 0);
    for entry in tar::Archive::new(&mut ended).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let parts: Vec<String> =
            name.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        // A name may be nothing but dots and slashes.
        if parts.is_empty() || parts.iter().any(|part| is_ignored(part)) {
            continue;
        }
        match entry.header().entry_type() {
            kind if kind.is_file() => {
                let mut bytes = vec![];
                entry.read_to_end(&mut bytes).map_err(broken)?;
                found.push(Found { parts, image: Encoded::Bytes(name, bytes) });
            }
            kind if kind.is_dir() => folders.push(parts),
            kind if kind.is_symlink() || kind.is_hard_link() => links += 1,
            _ => {}
        }
    }
    let above: BTreeSet<&[String]> =
        found.iter().flat_map(|it: &Found| (1..it.parts.len()).map(|length| &it.parts[..length])).collect();
    let is_empty = |folder: &&Vec<String>| {
        !above.contains(&folder[..]) && !folders.iter().any(|it| it.len() > folder.len() && it.starts_with(folder))
    };
    let empty: Vec<Found> = folders.iter().filter(is_empty).map(|folder| Found::empty(folder)).collect();
    found.extend(empty);
    let mut source = sort(path, Kind::Tar, found);
    if links > 0 {
        source.notes.push(format!(
            "{links} links in the archive are left out; `tar --dereference --hard-dereference` has files instead"
        ));
    }
    if ended.zeros < BLOCK {
        source.notes.push("the archive has no end, so perhaps something is missing".into());
    }
    Ok(source)
}

/// What the reader of archives says when it wanted to go on behind the end: of a file's content, and of its header.
const ENDS: [&str; 2] = ["unexpected EOF", "failed to read entire block"];

/// Of which archives consist.
const BLOCK: usize = 512;

/// Whether a block is the header of a file in an archive: its checksum is right. Or it is the end of one.
fn begins_archive(block: &[u8]) -> bool {
    let Ok(header) = <&[u8; BLOCK]>::try_from(block).map(|block| tar::Header::from_byte_slice(block)) else {
        return false;
    };
    // The checksum is taken with blanks in its own place.
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let own = 148..156;
    let expected = sum(&block[..own.start]) + 8 * u32::from(b' ') + sum(&block[own.end..]);
    header.cksum().is_ok_and(|sum| sum == expected) || block.iter().all(|&byte| byte == 0)
}

/// Knows with how many zeros it ended: an archive ends with two blocks of them, one that was cut off does not.
struct Ended<R> {
    from: R,
    zeros: usize,
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        let zeros = buffer[..count].iter().rev().take_while(|&&byte| byte == 0).count();
        self.zeros = if zeros == count { self.zeros + zeros } else { zeros };
        Ok(count)
    }
}
