//! Sealed objects: compressed, then encrypted and authenticated frame by frame,
//! under a key of the object's own.
//!
//! ```text
//! object  = "HDL\x02" salt:32 frame* last-frame
//! frame   = head:u32le sealed                 AES-256-GCM, tag at the end
//! head    = length of sealed, bit 31 set in the last frame
//! plain   = 0x00 bytes | 0x01 zstd-frame      at most 1 MiB of content
//! key     = HKDF-SHA256(tenant key, salt, "heddle 2 object")
//! nonce   = index:u64le 0 0 0 last:u8         last is 1 in the last frame, else 0
//! aad     = "heddle 2" tenant:16 length(name):u32le name index:u64le last:u8
//! ```
//!
//! So a frame that was changed, swapped, left out, repeated, cut off or taken
//! from another object, another name or another tenant does not open.

use std::fmt;
use std::io::{self, Read, Write};

use model::TenantId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

/// Content of every frame but the last.
pub(crate) const FRAME: usize = 1 << 20;

const MAGIC: &[u8; 4] = b"HDL\x02";
const SALT: usize = 32;
const TAG: usize = 16;
const LEVEL: i32 = 3;

/// In a frame's head: it is the last.
const LAST: u32 = 1 << 31;

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// What a tenant's objects are sealed with; also what seals those keys.
pub struct Secret(pub(crate) [u8; 32]);

impl Secret {
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How an object is not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("it does not begin as a sealed object does")]
    Start,
    #[error("its frame {0} is not what was sealed under this name with this tenant's key")]
    Frame(u64),
    #[error("its frame {0} does not decompress")]
    Content(u64),
    #[error("it ends before its last frame")]
    Cut,
    #[error("bytes follow its last frame")]
    Trailing,
    #[error("it holds more than it may")]
    TooLarge,
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        Self::new(io::ErrorKind::InvalidData, broken)
    }
}

/// Bytes that `plain` bytes take at most once sealed.
pub(crate) fn bound(plain: u64) -> u64 {
    let frames = plain / FRAME as u64 + 1;
    (MAGIC.len() + SALT) as u64 + plain + frames * (4 + 1 + TAG as u64)
}

/// One object's key and what its frames are bound to.
struct Lock {
    key: LessSafeKey,
    aad: Vec<u8>,
}

impl Lock {
    fn new(secret: &Secret, salt: &[u8], tenant: TenantId, name: &str) -> Self {
        let derived = Salt::new(HKDF_SHA256, salt).extract(&secret.0);
        let okm = derived.expand(&[b"heddle 2 object"], &AES_256_GCM).expect("32 bytes can be derived");
        let mut aad = b"heddle 2".to_vec();
        aad.extend_from_slice(tenant.0.as_bytes());
        aad.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
        aad.extend_from_slice(name.as_bytes());
        Self { key: LessSafeKey::new(UnboundKey::from(okm)), aad }
    }

    fn of_frame(&self, index: u64, last: bool) -> (Nonce, Aad<Vec<u8>>) {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&index.to_le_bytes());
        nonce[NONCE_LEN - 1] = u8::from(last);
        let mut aad = self.aad.clone();
        aad.extend_from_slice(&index.to_le_bytes());
        aad.push(u8::from(last));
        (Nonce::assume_unique_for_key(nonce), Aad::from(aad))
    }
}

/// Seals what is written to it, on the way to `W`.
pub(crate) struct Sealer<W> {
    inner: W,
    lock: Lock,
    compressor: zstd::bulk::Compressor<'static>,
    content: Vec<u8>,
    frame: Vec<u8>,
    index: u64,
    stored: u64,
}

/// What was sealed.
pub(crate) struct Sealed<W> {
    pub inner: W,
    pub stored: u64,
}

impl<W: Write> Sealer<W> {
    pub fn new(mut inner: W, secret: &Secret, tenant: TenantId, name: &str) -> io::Result<Self> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        inner.write_all(MAGIC)?;
        inner.write_all(&salt)?;
        Ok(Self {
            inner,
            lock: Lock::new(secret, &salt, tenant, name),
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            content: Vec::new(),
            frame: Vec::new(),
            index: 0,
            stored: (MAGIC.len() + SALT) as u64,
        })
    }

    /// How much was written so far.
    pub fn content(&self) -> u64 {
        self.index * FRAME as u64 + self.content.len() as u64
    }

    /// Seals the rest, as the last frame.
    pub fn finish(mut self) -> io::Result<Sealed<W>> {
        self.seal(true)?;
        self.inner.flush()?;
        Ok(Sealed { inner: self.inner, stored: self.stored })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let frame = &mut self.frame;
        frame.clear();
        frame.resize(1 + zstd::zstd_safe::compress_bound(self.content.len()), 0);
        let size = self.compressor.compress_to_buffer(&self.content, &mut frame[1..])?;
        if size < self.content.len() {
            frame[0] = ZSTD;
            frame.truncate(1 + size);
        } else {
            frame.clear();
            frame.push(RAW);
            frame.extend_from_slice(&self.content);
        }
        self.content.clear();
        let (nonce, aad) = self.lock.of_frame(self.index, last);
        let sealed = self.lock.key.seal_in_place_append_tag(nonce, aad, frame);
        sealed.map_err(|_| io::Error::other("a frame could not be sealed"))?;
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let head = if last { length | LAST } else { length };
        self.inner.write_all(&head.to_le_bytes())?;
        self.inner.write_all(frame)?;
        self.index += 1;
        self.stored += 4 + u64::from(length);
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only once more comes is it known that a full frame is not the last.
        if self.content.len() == FRAME {
            self.seal(false)?;
        }
        let taken = bytes.len().min(FRAME - self.content.len());
        self.content.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what is read through it. What it gives was authenticated; that nothing
/// is missing is known at its end, which therefore must be reached.
pub(crate) struct Opener<R> {
    inner: R,
    lock: Lock,
    decompressor: zstd::bulk::Decompressor<'static>,
    frame: Vec<u8>,
    content: Vec<u8>,
    at: usize,
    index: u64,
    ended: bool,
}

impl<R: Read> Opener<R> {
    pub fn new(mut inner: R, secret: &Secret, tenant: TenantId, name: &str) -> io::Result<Self> {
        let mut start = [0; MAGIC.len() + SALT];
        if !fill(&mut inner, &mut start)? || !start.starts_with(MAGIC) {
            return Err(Broken::Start.into());
        }
        Ok(Self {
            inner,
            lock: Lock::new(secret, &start[MAGIC.len()..], tenant, name),
            decompressor: zstd::bulk::Decompressor::new()?,
            frame: Vec::new(),
            content: Vec::new(),
            at: 0,
            index: 0,
            ended: false,
        })
    }

    fn next(&mut self) -> io::Result<()> {
        let mut head = [0; 4];
        if !fill(&mut self.inner, &mut head)? {
            return Err(Broken::Cut.into());
        }
        let head = u32::from_le_bytes(head);
        let (length, last) = ((head & !LAST) as usize, head & LAST != 0);
        if length <= TAG || length > 1 + FRAME + TAG {
            return Err(Broken::Frame(self.index).into());
        }
        self.frame.resize(length, 0);
        if !fill(&mut self.inner, &mut self.frame)? {
            return Err(Broken::Cut.into());
        }
        let (nonce, aad) = self.lock.of_frame(self.index, last);
        let opened = self.lock.key.open_in_place(nonce, aad, &mut self.frame);
        let opened = opened.map_err(|_| Broken::Frame(self.index))?;
        self.content.clear();
        match opened.split_first() {
            Some((&RAW, content)) if content.len() <= FRAME => self.content.extend_from_slice(content),
            Some((&ZSTD, content)) => {
                self.content.reserve(FRAME);
                let opened = self.decompressor.decompress_to_buffer(content, &mut self.content);
                opened.map_err(|_| Broken::Content(self.index))?;
            }
            _ => return Err(Broken::Content(self.index).into()),
        }
        if self.content.len() > FRAME || !last && self.content.len() != FRAME {
            return Err(Broken::Content(self.index).into());
        }
        self.at = 0;
        self.index += 1;
        self.ended = last;
        if last && fill(&mut self.inner, &mut [0])? {
            return Err(Broken::Trailing.into());
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.content.len() && !self.ended {
            self.next()?;
        }
        let taken = buffer.len().min(self.content.len() - self.at);
        buffer[..taken].copy_from_slice(&self.content[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// Fills the buffer; false if the end came before.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Seals a small object in memory.
pub(crate) fn seal(secret: &Secret, tenant: TenantId, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let stored = Vec::with_capacity(bound(content.len() as u64) as usize / 2);
    let mut sealer = Sealer::new(stored, secret, tenant, name)?;
    sealer.write_all(content)?;
    Ok(sealer.finish()?.inner)
}

/// Opens an object of at most `limit` bytes of content.
pub(crate) fn open(
    secret: &Secret,
    tenant: TenantId,
    name: &str,
    stored: &[u8],
    limit: usize,
) -> io::Result<Vec<u8>> {
    let mut opener = Opener::new(stored, secret, tenant, name)?;
    let mut content = Vec::new();
    while !opener.ended {
        opener.next()?;
        if content.len() + opener.content.len() > limit {
            return Err(Broken::TooLarge.into());
        }
        content.extend_from_slice(&opener.content);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn broken(result: io::Result<Vec<u8>>) -> Broken {
        let error = result.unwrap_err();
        *error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("{error:?}"))
    }

    /// Some that compresses and some that does not.
    fn content(length: usize) -> Vec<u8> {
        let mut state = 77_u64;
        let mut next = |place: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if (place / 5000).is_multiple_of(2) { b'x' } else { (state >> 56) as u8 }
        };
        (0..length).map(&mut next).collect()
    }

    #[test]
    fn what_was_sealed_opens_and_only_there() {
        let (secret, tenant) = (Secret::random().unwrap(), TenantId::new());
        for length in [0, 1, 100, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 4711] {
            let content = content(length);
            let stored = seal(&secret, tenant, "a/b", &content).unwrap();
            assert!(stored.len() as u64 <= bound(length as u64));
            assert_eq!(open(&secret, tenant, "a/b", &stored, length).unwrap(), content);
            let mut read = Vec::new();
            Opener::new(&stored[..], &secret, tenant, "a/b").unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
            let other = |secret, tenant, name| broken(open(secret, tenant, name, &stored, length));
            assert_eq!(other(&secret, tenant, "a/c"), Broken::Frame(0));
            assert_eq!(other(&secret, TenantId::new(), "a/b"), Broken::Frame(0));
            assert_eq!(other(&Secret::random().unwrap(), tenant, "a/b"), Broken::Frame(0));
            if length > 0 {
                assert_eq!(broken(open(&secret, tenant, "a/b", &stored, length - 1)), Broken::TooLarge);
            }
            assert_ne!(seal(&secret, tenant, "a/b", &content).unwrap(), stored, "each has a key of its own");
        }
    }

    #[test]
    fn frames_stay_what_and_where_they_are() {
        let (secret, tenant) = (Secret::random().unwrap(), TenantId::new());
        let content = content(4 * FRAME + 999);
        let mut sealer = Sealer::new(Vec::new(), &secret, tenant, "a").unwrap();
        sealer.write_all(&content).unwrap();
        let Sealed { inner: stored, stored: count } = sealer.finish().unwrap();
        assert_eq!(count, stored.len() as u64);
        let (start, mut rest) = stored.split_at(MAGIC.len() + SALT);
        let mut frames = Vec::new();
        while let Some(head) = rest.first_chunk() {
            let (frame, more) = rest.split_at(4 + (u32::from_le_bytes(*head) & !LAST) as usize);
            frames.push(frame);
            rest = more;
        }
        let of = |start: &[u8], frames: &[&[u8]]| {
            open(&secret, tenant, "a", &[start, &frames.concat()].concat(), content.len())
        };
        let [a, b, c, d, e] = frames[..] else { panic!("five frames") };
        assert_eq!(of(start, &[a, b, c, d, e]).unwrap(), content);
        assert_eq!(broken(of(start, &[a, c, b, d, e])), Broken::Frame(1));
        assert_eq!(broken(of(start, &[a, b, d, e])), Broken::Frame(2));
        assert_eq!(broken(of(start, &[a, a, b, c, d, e])), Broken::Frame(1));
        assert_eq!(broken(of(start, &[a, b, c, d])), Broken::Cut);
        assert_eq!(broken(of(start, &[])), Broken::Cut);
        assert_eq!(broken(of(start, &[a, b, c, d, e, e])), Broken::Trailing);
        assert_eq!(broken(of(start, &[e])), Broken::Frame(0));
        // The flag alone does not end it.
        let mut ended = d.to_vec();
        ended[3] |= 0x80;
        assert_eq!(broken(of(start, &[a, b, c, &ended])), Broken::Frame(3));
        // A frame of the same object sealed at another time.
        let again = seal(&secret, tenant, "a", &content).unwrap();
        assert_eq!(broken(of(&again[..start.len()], &[a, b, c, d, e])), Broken::Frame(0));
    }

    #[test]
    fn every_bit_counts() {
        let (secret, tenant) = (Secret::random().unwrap(), TenantId::new());
        let stored = seal(&secret, tenant, "a", &content(9_000)).unwrap();
        for place in 0..stored.len() {
            let mut bad = stored.clone();
            bad[place] ^= 1 << (place % 8);
            broken(open(&secret, tenant, "a", &bad, 1 << 20));
        }
        for length in (0..stored.len()).step_by(11) {
            broken(open(&secret, tenant, "a", &stored[..length], 1 << 20));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_in_good_order(bytes in prop::collection::vec(any::<u8>(), 0..3000), valid: bool) {
            let (secret, tenant) = (Secret([7; 32]), TenantId::new());
            let mut stored = if valid { MAGIC.to_vec() } else { Vec::new() };
            stored.extend_from_slice(&bytes);
            broken(open(&secret, tenant, "a", &stored, 1 << 20));
        }

        #[test]
        fn pieces_make_the_same_whole(sizes in prop::collection::vec(1_usize..400_000, 1..12)) {
            let (secret, tenant) = (Secret([7; 32]), TenantId::new());
            let whole = content(sizes.iter().sum());
            let mut sealer = Sealer::new(Vec::new(), &secret, tenant, "a").unwrap();
            let mut rest = &whole[..];
            for size in sizes {
                let (piece, more) = rest.split_at(size);
                sealer.write_all(piece).unwrap();
                rest = more;
            }
            let stored = sealer.finish().unwrap().inner;
            prop_assert_eq!(open(&secret, tenant, "a", &stored, whole.len()).unwrap(), whole);
        }
    }
}
