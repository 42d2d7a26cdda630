//! The token's own memory: private data objects of application `coldroot`.
//!
//! Stored: a change needs a new version. The value of an object is a generation (8 octets, big-endian) and then the
//! caller's octets. A new object is made before the older one is destroyed, so an interruption leaves two, never none;
//! PKCS #11 does not tell which came last, the generation does.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::fault::{Doing, Fault, Misuse, Result};

const APPLICATION: &[u8] = b"coldroot";
const GENERATION: usize = 8;
/// A mark has some hundred octets; tokens have little memory.
const LONGEST: u64 = 16 << 10;

struct Object {
    handle: ObjectHandle,
    generation: u64,
    value: Vec<u8>,
}

/// The value written last; `None`: there is no such object.
pub(super) fn read(session: &Session, label: &str) -> Result<Option<Vec<u8>>> {
    let objects = objects(session, label)?;
    let Some(last) = objects.iter().map(|object| object.generation).max() else { return Ok(None) };
    let mut newest = objects.into_iter().filter(|object| object.generation == last);
    let first = newest.next();
    // Two writers at once: nobody can say which value holds.
    if newest.next().is_some() {
        return Err(Fault::ForeignData { label: label.into(), cause: "two objects have the same generation" });
    }
    Ok(first.map(|object| object.value))
}

/// Makes the new object, reads it back, then destroys every older one. The order is the point: at any moment at least
/// one whole value is in the token.
pub(super) fn write(session: &Session, label: &str, value: &[u8]) -> Result<()> {
    let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
    if length > LONGEST {
        return Err(
            Misuse::Range { what: "the length of a data object", value: length, least: 0, most: LONGEST }.into()
        );
    }
    let older = objects(session, label)?;
    let last = older.iter().map(|object| object.generation).max().unwrap_or(0);
    let generation = last
        .checked_add(1)
        .ok_or_else(|| Fault::ForeignData { label: label.into(), cause: "the generation is the largest there is" })?;
    let mut template = template(label);
    template.push(Attribute::Value([&generation.to_be_bytes(), value].concat()));
    let made = session.create_object(&template).doing("writing a data object")?;
    let back = read_one(session, label, made)?;
    if back.generation != generation || back.value != value {
        session.destroy_object(made).doing("destroying a data object")?;
        return Err(Fault::DataNotKept(label.into()));
    }
    for object in older {
        session.destroy_object(object.handle).doing("destroying an older data object")?;
    }
    Ok(())
}

/// Destroys every object with this label; how many there were.
pub(super) fn remove(session: &Session, label: &str) -> Result<u32> {
    let handles = session.find_objects(&template(label)).doing("looking for a data object")?;
    let mut removed = 0;
    for handle in handles {
        session.destroy_object(handle).doing("destroying a data object")?;
        removed += 1;
    }
    Ok(removed)
}

/// Makes one, reads it back, and destroys it, with any that an interrupted try has left.
pub(super) fn try_one(session: &Session, label: &str) -> Result<()> {
    let written = write(session, label, b"");
    remove(session, label)?;
    written
}

fn template(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Application(APPLICATION.to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

fn objects(session: &Session, label: &str) -> Result<Vec<Object>> {
    let handles = session.find_objects(&template(label)).doing("looking for a data object")?;
    handles.into_iter().map(|handle| read_one(session, label, handle)).collect()
}

fn read_one(session: &Session, label: &str, handle: ObjectHandle) -> Result<Object> {
    let foreign = |cause| Fault::ForeignData { label: label.into(), cause };
    let attributes = session.get_attributes(handle, &[AttributeType::Value]).doing("reading a data object")?;
    let Some(Attribute::Value(stored)) = attributes.into_iter().next() else {
        return Err(foreign("it has no value"));
    };
    let (generation, value) =
        stored.split_first_chunk::<GENERATION>().ok_or_else(|| foreign("it is too short for a generation"))?;
    Ok(Object { handle, generation: u64::from_be_bytes(*generation), value: value.to_vec() })
}
