//! Hierarchies and ceremonies, before `init` and after it.

use std::fs;

use crate::book::Book;
use crate::harness::station::Station;

#[test]
fn p07_hierarchies_and_ceremonies() {
    let station = Station::bare();
    let good = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let mut book = Book::new(&station);
    // (defect, what is replaced, by what)
    let edits: [(&str, &str, &str); 18] = [
        ("hierarchy: not TOML", "name = \"Road\"", "name = "),
        ("hierarchy: another format", "coldroot-hierarchy-v0", "coldroot-hierarchy-v7"),
        ("hierarchy: a field that is none", "name = \"Road\"", "name = \"Road\"\ncolour = \"red\""),
        ("hierarchy: neither real nor rehearsal", "\"rehearsal\"", "\"maybe\""),
        ("hierarchy: a real one with a rehearsal's names", "\"rehearsal\"", "\"real\""),
        ("hierarchy: an origin with a space", "example.org/coldroot/demo", "example.org coldroot"),
        ("hierarchy: a key on no token", "token = \"main\"\nlabel = \"root\"", "token = \"safe\"\nlabel = \"root\""),
        ("hierarchy: one label twice on a token", "label = \"xmpp-1\"", "label = \"root\""),
        ("hierarchy: a CA without its key", "key = \"xmpp-key\"", "key = \"lost-key\""),
        (
            "hierarchy: a CA under nobody",
            "issuer = \"root\"\nprofile = \"intermediate\"",
            "issuer = \"rot\"\nprofile = \"intermediate\"",
        ),
        ("hierarchy: a CA that outlives its issuer", "days = 3650", "days = 9999"),
        ("hierarchy: two CAs of one name", "Road XMPP 1", "Road Root"),
        (
            "hierarchy: a leaf that outlives its CA",
            "issuer = \"xmpp-1\"\ndays = 90",
            "issuer = \"xmpp-1\"\ndays = 3651",
        ),
        ("hierarchy: a CRL over https", "http://ca.example.org/root.crl", "https://ca.example.org/root.crl"),
        ("hierarchy: a desk for CA certificates", "profiles = [\"xmpp-server\"]", "profiles = [\"intermediate\"]"),
        ("hierarchy: a module by a relative path", "module = \"/", "module = \"./"),
        ("hierarchy: an unknown role", "roles = [\"witness\"]", "roles = [\"wizard\"]"),
        ("hierarchy: a quorum that nobody meets", "[audit]", "[quorum]\nkeys = { officer = 3 }\n\n[audit]"),
    ];
    let path = station.desk("edited.toml");
    for (defect, from, to) in edits {
        assert!(good.contains(from), "{defect}: the hierarchy has no `{from}`");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        book.refuse(defect, 2, &["check", path.to_str().unwrap()]);
    }
    book.refuse("init: no approvals", 1, &["init"]);
    book.refuse("init: one approval of two", 1, &["init", "--approval", "hierarchy.toml.alice.sig"]);
    book.refuse("plan: before init", 1, &["plan", "--crl", "root"]);
    book.refuse("station: not there", 2, &["--station", "nowhere", "plan", "--crl", "root"]);
    assert!(book.close("hierarchies") >= 22);

    let station = Station::ready();
    let mut book = Book::new(&station);
    let head = "format = \"coldroot-ceremony-v0\"\ntitle = \"T\"\n";
    let acts = [
        ("ceremony: no act", ""),
        ("ceremony: an act that is none", "[[act]]\nkind = \"bless\"\n"),
        ("ceremony: a root that has an issuer", "[[act]]\nkind = \"root\"\nca = \"xmpp-1\"\n"),
        ("ceremony: a CA that is not declared", "[[act]]\nkind = \"crl\"\nca = \"nobody\"\n"),
        ("ceremony: a field that belongs elsewhere", "[[act]]\nkind = \"crl\"\nca = \"root\"\nkey = \"root-key\"\n"),
        ("ceremony: an act twice", "[[act]]\nkind = \"crl\"\nca = \"root\"\n[[act]]\nkind = \"crl\"\nca = \"root\"\n"),
        ("ceremony: a revocation without its reason", "[[act]]\nkind = \"revoke\"\nca = \"root\"\nserial = \"01\"\n"),
    ];
    let path = station.desk("ceremony.toml");
    for (defect, text) in acts {
        fs::write(&path, format!("{head}{text}")).unwrap();
        book.refuse(defect, 2, &["plan", "--ceremony", path.to_str().unwrap()]);
    }
    let again = "[[act]]\nkind = \"root\"\nca = \"root\"\n";
    fs::write(&path, format!("{head}{again}")).unwrap();
    book.refuse("ceremony: a root that is made", 1, &["plan", "--ceremony", path.to_str().unwrap()]);
    book.refuse("init: a second time", 1, &station.init_args()[..1]);

    // The file that was approved is the file that counts.
    let changed = fs::read_to_string(station.path("hierarchy.toml")).unwrap().replace("days = 90", "days = 91");
    fs::write(station.path("hierarchy.toml"), changed).unwrap();
    book.turn();
    book.refuse("hierarchy: changed after init", 1, &["plan", "--crl", "root"]);
    assert!(book.close("ceremonies") >= 10);
}
