//! seqgate
