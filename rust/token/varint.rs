//! Numbers of one to ten bytes: seven bits a byte, lowest first, the high bit says "more".
//!
//! Each number has one form only, so that equal claims have equal bytes.

/// Appends a number.
pub(super) fn push(number: u64, out: &mut Vec<u8>) {
    out.extend(bytes(number));
}

/// The bytes of a number.
pub(super) fn bytes(number: u64) -> impl Iterator<Item = u8> {
    let mut left = Some(number);
    std::iter::from_fn(move || {
        let number = left?;
        let [low, ..] = number.to_le_bytes();
        left = Some(number >> 7).filter(|number| *number > 0);
        Some(if left.is_some() { low | 0x80 } else { low })
    })
}

/// Bytes that [`push`] appends.
pub(super) fn len(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

/// Takes a number off the front; `None` if it is cut off, over 64 bits, or longer than need be.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_take_one_byte() {
        let mut out = Vec::new();
        push(0, &mut out);
        push(127, &mut out);
        push(128, &mut out);
        assert_eq!(out, [0, 127, 0x80, 1]);
    }

    #[test]
    fn overlong_cut_and_oversized_numbers_are_refused() {
        let ten = [0xFF; 9];
        for bad in [&[][..], &[0x80], &[0x80, 0], &[0xFF, 0x80, 0], &[&ten[..], &[2]].concat()] {
            assert_eq!(take(&mut &*bad), None, "{bad:?}");
        }
        assert_eq!(take(&mut &[&ten[..], &[1]].concat()[..]), Some(u64::MAX));
    }

    proptest::proptest! {
        #[test]
        fn every_number_comes_back(number: u64, tail: [u8; 3]) {
            let mut out = Vec::new();
            push(number, &mut out);
            proptest::prop_assert_eq!(out.len(), len(number));
            out.extend(tail);
            let mut rest = &out[..];
            proptest::prop_assert_eq!(take(&mut rest), Some(number));
            proptest::prop_assert_eq!(rest, tail);
        }
    }
}
