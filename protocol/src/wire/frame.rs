//! Finds frames in a byte stream without copying or consuming any of it.

use thiserror::Error;

/// Bytes of a frame's length, which does not count itself.
pub const LENGTH_BYTES: usize = 4;

/// Finds requests: each begins with api key, version and correlation id.
pub type RequestSplitter = Splitter<8>;

/// Finds responses: each begins with its correlation id.
pub type ResponseSplitter = Splitter<4>;

/// Finds frames in a stream that the caller holds in one contiguous buffer.
///
/// Each call of [`next`](Self::next) looks at the front of that buffer, from which the caller dropped what the last
/// [`Piece::Run`] or [`Piece::Frame`] named. A frame that begins is announced until the caller says, by
/// [`pass`](Self::pass) or [`gather`](Self::gather), how it wants to have it.
#[derive(Clone, Debug)]
pub struct Splitter<const HEAD: usize> {
    state: State,
    frame_bytes_max: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The buffer begins with a frame's length, or is empty.
    Boundary,
    /// So it does, and the caller knows the frame's size.
    Announced { size: u32 },
    /// Bytes of a frame, its length included, that are still to go out.
    Passing { left: u64 },
    /// The buffer begins with a frame of which the caller wants all bytes at once, its length included.
    Gathering { total: usize },
}

/// What the front of the buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<const HEAD: usize> {
    /// The buffer must hold at least this many bytes in all before the next call can say more.
    More(usize),
    /// A frame begins; stays announced until [`Splitter::pass`] or [`Splitter::gather`].
    Begin {
        /// Its bytes behind the length.
        size: u32,
        /// The first of them.
        head: [u8; HEAD],
    },
    /// So many bytes belong to a frame that is passed through: write and drop them.
    Run(usize),
    /// So many bytes are a whole frame, its length included.
    Frame(usize),
}

/// Why a stream cannot be split any further; the connection has to be closed, as a broker would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length below zero.
    #[error("frame length {size} is negative")]
    Negative {
        /// The length.
        size: i32,
    },
    /// A frame without room for what every frame begins with.
    #[error("frame of {size} bytes is shorter than its header of {min}")]
    TooShort {
        /// Its bytes behind the length.
        size: u32,
        /// How many it needs.
        min: usize,
    },
    /// A frame larger than the broker's `socket.request.max.bytes`, or what is configured in its place.
    #[error("frame of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its bytes behind the length.
        size: u32,
        /// How many it may have.
        limit: u32,
    },
}

impl<const HEAD: usize> Splitter<HEAD> {
    /// Starts at a boundary between frames of at most `frame_bytes_max` bytes behind their length.
    #[must_use]
    pub const fn new(frame_bytes_max: u32) -> Self {
        Self { state: State::Boundary, frame_bytes_max }
    }

    /// Says what the front of `buf` is.
    #[inline]
    pub fn next(&mut self, buf: &[u8]) -> Result<Piece<HEAD>, FrameError> {
        match self.state {
            State::Boundary => self.announce(buf),
            State::Announced { size } => Ok(begin(size, buf)),
            State::Passing { left } => Ok(self.run(left, buf.len())),
            State::Gathering { total } if buf.len() < total => Ok(Piece::More(total)),
            State::Gathering { total } => {
                self.state = State::Boundary;
                Ok(Piece::Frame(total))
            }
        }
    }

    /// The frame just announced goes out as runs.
    pub fn pass(&mut self) {
        let State::Announced { size } = self.state else {
            debug_assert!(false, "no frame is announced");
            return;
        };
        self.state = State::Passing { left: u64::from(size) + LENGTH_BYTES as u64 };
    }

    /// The frame just announced is handed out whole, once the buffer holds it.
    pub fn gather(&mut self) {
        let State::Announced { size } = self.state else {
            debug_assert!(false, "no frame is announced");
            return;
        };
        self.state = State::Gathering { total: (size as usize).saturating_add(LENGTH_BYTES) };
    }

    /// How many bytes of a frame that is passed through no run has named yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        match self.state {
            State::Passing { left } => left,
            State::Boundary | State::Announced { .. } | State::Gathering { .. } => 0,
        }
    }

    /// So many of the bytes that are [`left`](Self::left), but not all, went past the buffer, which is empty: the caller
    /// has passed them on.
    pub fn skip(&mut self, count: u64) {
        let left = self.left();
        debug_assert!(count < left, "the end of a frame is named by a run");
        if count < left {
            self.state = State::Passing { left: left - count };
        }
    }

    /// Whether a stream that ends now, with an empty buffer, is cut inside a frame.
    #[must_use]
    pub const fn mid_frame(&self) -> bool {
        !matches!(self.state, State::Boundary)
    }

    fn announce(&mut self, buf: &[u8]) -> Result<Piece<HEAD>, FrameError> {
        let Some(&length) = buf.first_chunk::<LENGTH_BYTES>() else {
            return Ok(Piece::More(LENGTH_BYTES));
        };
        // Before anything waits for the frame's bytes, let alone makes room for them.
        let size = self.check(i32::from_be_bytes(length))?;
        let piece = begin(size, buf);
        if matches!(piece, Piece::Begin { .. }) {
            self.state = State::Announced { size };
        }
        Ok(piece)
    }

    fn check(&self, size: i32) -> Result<u32, FrameError> {
        let Ok(size) = u32::try_from(size) else {
            return Err(FrameError::Negative { size });
        };
        if (size as usize) < HEAD {
            return Err(FrameError::TooShort { size, min: HEAD });
        }
        if size > self.frame_bytes_max {
            return Err(FrameError::TooLarge { size, limit: self.frame_bytes_max });
        }
        Ok(size)
    }

    fn run(&mut self, left: u64, available: usize) -> Piece<HEAD> {
        if available == 0 {
            return Piece::More(1);
        }
        let run = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        self.state = match left - run as u64 {
            0 => State::Boundary,
            left => State::Passing { left },
        };
        Piece::Run(run)
    }
}

fn begin<const HEAD: usize>(size: u32, buf: &[u8]) -> Piece<HEAD> {
    match buf.get(LENGTH_BYTES..).and_then(<[u8]>::first_chunk::<HEAD>) {
        Some(&head) => Piece::Begin { size, head },
        None => Piece::More(LENGTH_BYTES + HEAD),
    }
}

#[cfg(test)]
mod tests;
