//! Names as the hierarchy declares them: attribute types and their bounds.

/// One RelativeDistinguishedName: attribute types and values. A name keeps the order of its RDNs, repeated types included.
pub type Rdn = Vec<(DnType, String)>;

/// The attribute types a declared subject may use (RFC 5280 Appendix A, RFC 4519).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnType {
    Country,
    State,
    Locality,
    Organization,
    OrganizationalUnit,
    CommonName,
    SerialNumber,
    DomainComponent,
}

impl DnType {
    pub(super) const ALL: [DnType; 8] = [
        DnType::Country,
        DnType::State,
        DnType::Locality,
        DnType::Organization,
        DnType::OrganizationalUnit,
        DnType::CommonName,
        DnType::SerialNumber,
        DnType::DomainComponent,
    ];

    /// The short name of RFC 4514 §3 (and `serialNumber`).
    pub fn short(self) -> &'static str {
        match self {
            DnType::Country => "C",
            DnType::State => "ST",
            DnType::Locality => "L",
            DnType::Organization => "O",
            DnType::OrganizationalUnit => "OU",
            DnType::CommonName => "CN",
            DnType::SerialNumber => "serialNumber",
            DnType::DomainComponent => "DC",
        }
    }

    /// The object identifier's arcs.
    pub fn oid(self) -> &'static [u64] {
        match self {
            DnType::Country => &[2, 5, 4, 6],
            DnType::State => &[2, 5, 4, 8],
            DnType::Locality => &[2, 5, 4, 7],
            DnType::Organization => &[2, 5, 4, 10],
            DnType::OrganizationalUnit => &[2, 5, 4, 11],
            DnType::CommonName => &[2, 5, 4, 3],
            DnType::SerialNumber => &[2, 5, 4, 5],
            DnType::DomainComponent => &[0, 9, 2342, 19200300, 100, 1, 25],
        }
    }

    /// The upper bound of RFC 5280 Appendix A in characters.
    pub(super) fn bound(self) -> usize {
        match self {
            DnType::Country => 2,
            DnType::State | DnType::Locality => 128,
            DnType::DomainComponent => 63,
            _ => 64,
        }
    }
}
