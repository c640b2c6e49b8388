package eventstored_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// A response in its normal form consists of values that JSON supports. Values that a server generates are replaced by
// labels: a position is named after the event stored there, and an ID that the test generated is "#n".

type object = map[string]any

// normal converts responses into their normal form. It belongs to one epoch of the recording.
type normal struct {
	known    map[string]any    // event ID -> its number, for IDs that the test generated
	labels   map[uint64]string // position -> label of the event there
	position map[string]uint64 // label -> position
}

func newNormal() *normal {
	return &normal{known: map[string]any{}, labels: map[uint64]string{}, position: map[string]uint64{}}
}

func (n *normal) note(label string, position uint64) {
	n.labels[position], n.position[label] = label, position
}

func (n *normal) pos(commit, prepare uint64) string {
	suffix := ""
	if commit != prepare {
		suffix = "(commit!=prepare)"
	}
	switch label, ok := n.labels[commit]; {
	case commit == math.MaxUint64:
		return "max" + suffix
	case commit == 0:
		return "0" + suffix
	case ok:
		return label + suffix
	default:
		return "unknown" + suffix
	}
}

// written returns the position of an append, compared with the position of the event at its revision.
func (n *normal) written(label string, commit, prepare uint64) string {
	before, seen := n.position[label]
	result := "position:other"
	switch {
	case !seen:
		n.note(label, commit)
		result = "position:new"
	case before == commit:
		result = "position:same"
	}
	if commit != prepare {
		result += "(commit!=prepare)"
	}
	return result
}

func (n *normal) recorded(e *streams.ReadResp_ReadEvent_RecordedEvent) any {
	if e == nil {
		return nil
	}
	id, form := wireUUID(e.GetId())
	label := labelOf(e)
	if p := e.GetCommitPosition(); p != 0 && p != math.MaxUint64 {
		n.note(label, p)
	}
	idText := "made-by-server"
	if number, ok := n.known[id]; ok {
		idText = fmt.Sprintf("#%v", number)
	}
	meta := object{}
	for k, v := range e.GetMetadata() {
		meta[k] = v
	}
	delete(meta, "created")
	pos := "own"
	if p := e.GetCommitPosition(); n.position[label] != p {
		pos = n.pos(p, p)
	}
	return object{
		"id": idText, "idForm": form, "at": label, "meta": meta, "created": createdOf(e.GetMetadata()["created"]),
		"data": short(e.GetData()), "custom": short(e.GetCustomMetadata()),
		"pos": pos, "prepareSame": e.GetCommitPosition() == e.GetPreparePosition(),
	}
}

func labelOf(e *streams.ReadResp_ReadEvent_RecordedEvent) string {
	return fmt.Sprintf("%s@%d", latin(e.GetStreamIdentifier().GetStreamName()), e.GetStreamRevision())
}

func createdOf(ticks string) string {
	created, err := strconv.ParseInt(ticks, 10, 64)
	switch {
	case ticks == "":
		return "missing"
	case err != nil || time.Since(time.Unix(0, created*100)).Abs() > time.Hour:
		return "odd:" + ticks
	default:
		return "ok"
	}
}

func (n *normal) event(e *streams.ReadResp_ReadEvent) object {
	event, link := n.recorded(e.GetEvent()), n.recorded(e.GetLink())
	position := any("unset")
	switch p := e.GetPosition().(type) {
	case *streams.ReadResp_ReadEvent_CommitPosition:
		position = n.pos(p.CommitPosition, p.CommitPosition)
	case *streams.ReadResp_ReadEvent_NoPosition:
		position = "no_position"
	}
	return object{"event": event, "link": link, "position": position}
}

func (n *normal) item(m *streams.ReadResp) object {
	switch c := m.GetContent().(type) {
	case *streams.ReadResp_Event:
		return object{"event": n.event(c.Event)}
	case *streams.ReadResp_Confirmation:
		return object{"confirmation": true}
	case *streams.ReadResp_Checkpoint_:
		return object{"checkpoint": n.pos(c.Checkpoint.GetCommitPosition(), c.Checkpoint.GetPreparePosition())}
	case *streams.ReadResp_StreamNotFound_:
		return object{"notFound": latin(c.StreamNotFound.GetStreamIdentifier().GetStreamName())}
	case *streams.ReadResp_FirstStreamPosition:
		return object{"first": strconv.FormatUint(c.FirstStreamPosition, 10)}
	case *streams.ReadResp_LastStreamPosition:
		return object{"last": strconv.FormatUint(c.LastStreamPosition, 10)}
	case *streams.ReadResp_LastAllStreamPosition:
		return object{"lastAll": "set"}
	case *streams.ReadResp_CaughtUp_:
		return object{"caughtUp": true}
	case *streams.ReadResp_FellBehind_:
		return object{"fellBehind": true}
	default:
		return object{"other": fmt.Sprintf("%T", c)}
	}
}

// items returns the normal form of a read or subscription: the messages received, and the error that it ended with.
func (n *normal) items(received []*streams.ReadResp, end any) object {
	items := []any{}
	for _, m := range received {
		items = append(items, n.item(m))
	}
	return object{"items": items, "end": end}
}

func (n *normal) append(stream string, r *streams.AppendResp) object {
	switch result := r.GetResult().(type) {
	case *streams.AppendResp_Success_:
		return n.appended(stream, result.Success)
	case *streams.AppendResp_WrongExpectedVersion_:
		return object{"wrong": fieldsOf(result.WrongExpectedVersion), "result": "wrong_expected_version"}
	default:
		return object{"result": "unset"}
	}
}

// success is implemented by the successes of both ways to append.
type success interface {
	proto.Message
	GetCurrentRevision() uint64
}

func (n *normal) appended(stream string, s success) object {
	m := s.ProtoReflect()
	revision := oneof(m, "current_revision_option")
	if revision == "current_revision" {
		revision = strconv.FormatUint(s.GetCurrentRevision(), 10)
	}
	position := oneof(m, "position_option")
	if position == "position" {
		p := m.Get(m.Descriptor().Fields().ByName("position")).Message().Interface().(interface { //nolint:forcetypeassert // both have them
			GetCommitPosition() uint64
			GetPreparePosition() uint64
		})
		position = n.written(latin([]byte(stream))+"@"+revision, p.GetCommitPosition(), p.GetPreparePosition())
	}
	return object{"success": revision, "pos": position}
}

func (n *normal) batch(stream string, r *streams.BatchAppendResp) object {
	answer := object{
		"stream":   latin(r.GetStreamIdentifier().GetStreamName()),
		"expected": oneof(r.ProtoReflect(), "expected_stream_position"), "value": "",
	}
	if p, ok := r.GetExpectedStreamPosition().(*streams.BatchAppendResp_StreamPosition); ok {
		answer["value"] = strconv.FormatUint(p.StreamPosition, 10)
	}
	switch result := r.GetResult().(type) {
	case *streams.BatchAppendResp_Success_:
		maps.Copy(answer, n.appended(stream, result.Success))
	case *streams.BatchAppendResp_Error:
		answer["error"], answer["message"] = codeName(result.Error.GetCode()), result.Error.GetMessage()
		answer["details"] = detailsOf(result.Error.GetDetails())
	default:
		answer["result"] = "unset"
	}
	return answer
}

func detailsOf(details []*anypb.Any) any {
	if len(details) == 0 {
		return nil
	}
	url := details[0].GetTypeUrl()
	name := url[strings.LastIndexByte(url, '.')+1:]
	return object{
		"prefix": strings.TrimSuffix(url, name), "type": name, "value": hex.EncodeToString(details[0].GetValue()),
		"known": shared.File_shared_proto.Messages().ByName(protoreflect.Name(name)) != nil,
	}
}

// deleted returns the normal form of the responses to both ways to delete.
func deleted(r proto.Message, commit, prepare uint64) object {
	option := oneof(r.ProtoReflect(), "position_option")
	if option != "position" {
		return object{"deleted": option, "same": nil}
	}
	return object{"deleted": option, "same": commit == prepare}
}

// unsentTrailers are sent by gRPC itself, not by the application.
var unsentTrailers = []string{"date", "server", "content-type", "grpc-status-details-bin", "content-length"}

// failure returns the normal form of the error that a call ended with, or nil if there was none.
func failure(err error, trailer metadata.MD) any {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return object{"error": err.Error()}
	}
	trailers := object{}
	for k, v := range trailer {
		trailers[k] = v[0]
	}
	for _, k := range unsentTrailers {
		delete(trailers, k)
	}
	return object{"error": codeName(int32(s.Code())), "message": s.Message(), "trailers": trailers}
}

func codeName(c int32) string { return code.Code_name[c] }

// isCancelled reports whether an error is from a call that the test ended.
func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

// oneof returns the name of the field that is set in a oneof.
func oneof(m protoreflect.Message, name protoreflect.Name) string {
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName(name))
	if f == nil {
		return "unset"
	}
	return string(f.Name())
}

// fieldsOf lists the fields of a message, whose fields are all members of oneofs, and the member that is set in each
// oneof.
func fieldsOf(message proto.Message) object {
	m, out := message.ProtoReflect(), object{}
	oneofs := m.Descriptor().Oneofs()
	for i := range oneofs.Len() {
		f := m.WhichOneof(oneofs.Get(i))
		if f == nil {
			continue
		}
		out[string(oneofs.Get(i).Name())] = string(f.Name())
		out[string(f.Name())] = object{}
		if f.Kind() == protoreflect.Uint64Kind {
			out[string(f.Name())] = strconv.FormatUint(m.Get(f).Uint(), 10)
		}
	}
	return out
}

func wireUUID(u *shared.UUID) (id, form string) {
	switch v := u.GetValue().(type) {
	case *shared.UUID_String_:
		return v.String_, "string"
	case *shared.UUID_Structured_:
		b := binary.BigEndian.AppendUint64(nil, uint64(v.Structured.GetMostSignificantBits()))
		b = binary.BigEndian.AppendUint64(b, uint64(v.Structured.GetLeastSignificantBits()))
		h := hex.EncodeToString(b)
		return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"), "structured"
	default:
		return "", "unset"
	}
}

// latin decodes bytes as ISO 8859-1, in which every byte is a character.
func latin(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// longData is the length above which data is replaced by its length and the beginning of its digest.
const longData = 120

func short(b []byte) string {
	if len(b) <= longData {
		return latin(b)
	}
	return fmt.Sprintf("%d:%x", len(b), sha1.Sum(b))[:len(strconv.Itoa(len(b)))+1+12]
}

// asJSON returns a value as it is after encoding it to JSON and decoding it.
func asJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decodeJSON(b)
}

func decodeJSON(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}
