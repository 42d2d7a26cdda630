// A second independent verifier of coldroot's audit logs: Go's own transparency log code over the tiles and checkpoints.
//
//	sumdb -key KEY [-older CHECKPOINT] LOGDIR
//
// LOGDIR is the `log` directory of a release or a station's `audit` directory; KEY (name+hash+base64) comes from somewhere
// else. CHECKPOINT is an earlier checkpoint of the same log, kept by the reader: the log must continue it.
//
// Signatures, hashes and proofs are those of golang.org/x/mod/sumdb, the packages behind sum.golang.org. This program only
// finds the files, as FORMAT.md sections 2 and 3 lay them out; what entries mean is verify.py's question.
//
// Exit code 0: right. 4: not; one line on stderr says why. 2: wrong usage.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height  = 8
	width   = 1 << height
	maxNote = 4096
	maxSize = 1 << 48
	// The largest entry, and what 256 of them take with the two octets of length before each.
	maxEntry  = 65535
	maxBundle = width * (2 + maxEntry)
	// Proofs of inclusion made and checked, spread evenly over the log.
	proofs = 64
)

func main() {
	key := flag.String("key", "", "the log's verifier `KEY`, name+hash+base64, from outside the log")
	older := flag.String("older", "", "an earlier `CHECKPOINT` that the log must continue")
	flag.Parse()
	if *key == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	verifier, err := newVerifier(*key)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sumdb: the verifier key: %v\n", err)
		os.Exit(2)
	}
	if err := verify(verifier, flag.Arg(0), *older); err != nil {
		fmt.Fprintf(os.Stderr, "refused: %v\n", err)
		os.Exit(4)
	}
}

// newVerifier reads a verifier key: of Ed25519 as the package note does, and of ECDSA P-256, which that leaves to others.
func newVerifier(key string) (note.Verifier, error) {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) != 3 {
		return note.NewVerifier(key)
	}
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(typed) < 2 || typed[0] != 2 {
		return note.NewVerifier(key)
	}
	public, err := x509.ParsePKIXPublicKey(typed[1:])
	if err != nil {
		return nil, err
	}
	point, ok := public.(*ecdsa.PublicKey)
	if !ok || point.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	sum := sha256.Sum256(typed[1:])
	if parts[1] != fmt.Sprintf("%x", sum[:4]) {
		return nil, errors.New("mistyped: its hash does not fit")
	}
	return &p256{parts[0], binary.BigEndian.Uint32(sum[:]), point}, nil
}

// p256 verifies signatures of type 2 of C2SP signed-note.
type p256 struct {
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

func (v *p256) Name() string    { return v.name }
func (v *p256) KeyHash() uint32 { return v.hash }
func (v *p256) Verify(text, signature []byte) bool {
	sum := sha256.Sum256(text)
	return ecdsa.VerifyASN1(v.key, sum[:], signature)
}

func verify(verifier note.Verifier, dir, older string) error {
	tree, err := openCheckpoint(verifier, filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	// Gives only hashes that the tree's root proves.
	hashes := tlog.TileHashReader(tree, tiles(dir))
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the tiles give another root than the checkpoint")
	}
	if err := compareEntries(dir, tree, hashes); err != nil {
		return err
	}
	proved, err := proveRecords(tree, hashes)
	if err != nil {
		return err
	}
	continued := ""
	if older != "" {
		size, err := proveContinued(verifier, older, tree, hashes)
		if err != nil {
			return err
		}
		continued = fmt.Sprintf(", continues the checkpoint of %d", size)
	}
	fmt.Printf("good: %q, %d entries, root %x, %d proofs of inclusion%s\n",
		verifier.Name(), tree.N, tree.Hash[:], proved, continued)
	return nil
}

// openCheckpoint reads a checkpoint signed by the verifier's key: origin, size, root, and nothing else.
func openCheckpoint(verifier note.Verifier, path string) (tlog.Tree, error) {
	signed, err := read(path, maxNote)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%q: %v", path, err)
	}
	origin := verifier.Name() + "\n"
	if !strings.HasPrefix(opened.Text, origin) {
		return tlog.Tree{}, fmt.Errorf("%q is of another log", path)
	}
	// But for its first line, the text is that of the Go checksum database, whose parser skips further lines.
	text := []byte("go.sum database tree\n" + strings.TrimPrefix(opened.Text, origin))
	tree, err := tlog.ParseTree(text)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%q: %v", path, err)
	}
	if !bytes.Equal(tlog.FormatTree(tree), text) || tree.N < 1 || tree.N > maxSize {
		return tlog.Tree{}, fmt.Errorf("%q is not origin, size and root of a log with entries", path)
	}
	return tree, nil
}

// compareEntries holds every entry against its hash in the tree.
func compareEntries(dir string, tree tlog.Tree, hashes tlog.HashReader) error {
	for n := int64(0); n*width < tree.N; n++ {
		count := width
		if tree.N-n*width < width {
			count = int(tree.N - n*width)
		}
		bundle, err := readTile(dir, "entries", n, count, maxBundle)
		if err != nil {
			return err
		}
		indexes := make([]int64, count)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, n*width+int64(i))
		}
		wanted, err := hashes.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i := range wanted {
			entry, rest, err := cutEntry(bundle.data)
			if err != nil {
				return fmt.Errorf("entry %d: %v", n*width+int64(i), err)
			}
			if tlog.RecordHash(entry) != wanted[i] {
				return fmt.Errorf("entry %d has another hash than the tree", n*width+int64(i))
			}
			bundle.data = rest
		}
		// A full bundle may hold more entries than an older checkpoint covers.
		if bundle.width == count && len(bundle.data) != 0 {
			return fmt.Errorf("the bundle of entry %d has octets behind its last entry", n*width)
		}
	}
	return nil
}

func cutEntry(data []byte) (entry, rest []byte, err error) {
	if len(data) < 2 {
		return nil, nil, errors.New("its bundle ends before it")
	}
	length := int(binary.BigEndian.Uint16(data))
	if length > maxEntry || length > len(data)-2 {
		return nil, nil, errors.New("its length is not possible")
	}
	return data[2 : 2+length], data[2+length:], nil
}

// proveRecords makes and checks proofs of inclusion, the first and the last entry's among them.
func proveRecords(tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	count := int64(proofs)
	if tree.N < count {
		count = tree.N
	}
	for i := int64(0); i < count; i++ {
		n := tree.N - 1
		if i < count-1 {
			n = i * (tree.N / count)
		}
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			return 0, err
		}
		proof, err := tlog.ProveRecord(tree.N, n, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf[0]); err != nil {
			return 0, fmt.Errorf("entry %d: %v", n, err)
		}
	}
	return int(count), nil
}

// proveContinued shows that the tree begins with the older checkpoint's, and gives the size of that.
func proveContinued(verifier note.Verifier, older string, tree tlog.Tree, hashes tlog.HashReader) (int64, error) {
	before, err := openCheckpoint(verifier, older)
	if err != nil {
		return 0, err
	}
	if before.N > tree.N {
		return 0, fmt.Errorf("the log has %d entries, the checkpoint that it should continue %d", tree.N, before.N)
	}
	proof, err := tlog.ProveTree(tree.N, before.N, hashes)
	if err != nil {
		return 0, err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash); err != nil {
		return 0, fmt.Errorf("the log does not continue the checkpoint of %d entries, it is a fork: %v", before.N, err)
	}
	return before.N, nil
}

// tiles reads the tiles of the log in a directory.
type tiles string

func (dir tiles) Height() int { return height }

func (dir tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		found, err := readTile(string(dir), fmt.Sprint(tile.L), tile.N, tile.W, width*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		if len(found.data) != found.width*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d has %d octets", tile.N, tile.L, len(found.data))
		}
		data[i] = found.data[:tile.W*tlog.HashSize]
	}
	return data, nil
}

func (dir tiles) SaveTiles([]tlog.Tile, [][]byte) {}

type tile struct {
	data  []byte
	width int
}

// readTile reads the tile of that width, or the full one where the partial one was removed.
func readTile(dir, level string, n int64, wanted int, limit int64) (tile, error) {
	// tlog.Tile.Path says tile/8/<L>/<N>; C2SP tlog-tiles leaves the height out.
	path := func(w int) string {
		coordinates := tlog.Tile{H: height, L: 0, N: n, W: w}.Path()
		return filepath.Join(dir, "tile", level, strings.TrimPrefix(coordinates, "tile/8/0/"))
	}
	data, err := read(path(wanted), limit)
	if wanted < width && errors.Is(err, fs.ErrNotExist) {
		if full, err := read(path(width), limit); !errors.Is(err, fs.ErrNotExist) {
			return tile{full, width}, err
		}
	}
	return tile{data, wanted}, err
}

func read(path string, limit int64) ([]byte, error) {
	found, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() || found.Size() > limit {
		return nil, fmt.Errorf("%q is no regular file of at most %d octets", path, limit)
	}
	return os.ReadFile(path)
}
