// node_modules/preact/dist/preact.mjs
var n$1;
var t$2;
var r$2;
var u$2;
var i$2;
var f$2;
var o$2;
var e$2;
var l$2;
var c$2;
var a$2;
var h$4 = Symbol.for("pv");
var p$3 = {};
var y$3 = [];
var v$2 = /^m(i|n|o|s|text|space)$/;
var w$3 = Array.isArray;
var d$2 = y$3.slice;
var _$2 = Object.assign;
function g$3(n) {
	n && n.parentNode && n.remove();
}
function k$2(n, t, r) {
	var u, i, f, o = {}, e = arguments.length;
	for (f in t) "key" == f ? u = t[f] : "ref" == f && "function" != typeof n ? i = t[f] : o[f] = t[f];
	return e > 2 && (o.children = e > 3 ? d$2.call(arguments, 2) : r), m$3(n, o, u, i, null);
}
function m$3(r, u, i, f, o) {
	var e = {
		type: r,
		props: u,
		key: i,
		ref: f,
		__k: null,
		__: null,
		__b: 0,
		__e: null,
		__c: null,
		constructor: h$4,
		__v: o || ++t$2,
		__i: -1,
		__u: 0
	};
	return !o && n$1.vnode && n$1.vnode(e), e;
}
function $(n) {
	return n.children;
}
function x$1(n, t) {
	this.props = n, this.context = t, this.__g = 0;
}
function S$1(n, t) {
	if (null == t) return n.__ && S$1(n.__, n.__i + 1);
	for (var r; t < n.__k.length; t++) if ((r = n.__k[t]) && r.__e) return r.__e;
	return "function" != typeof n.type || n.props.__P ? null : S$1(n);
}
function C$1(t) {
	var r, u = t.__v, i = u.__e, f = [], o = [], e = t.__P;
	e && ((r = _$2({ constructor: h$4 }, u)).__v = u.__v + 1, n$1.vnode && n$1.vnode(r), z$1(e, r, u, t.__n, e.namespaceURI, 32 & u.__u ? [i] : null, f, i || S$1(u), 32 & u.__u, o), r.__v = u.__v, r.__.__k[r.__i] = r, E$1(f, r, o), u.__ = u.__e = null, r.__e != i && j$1(r));
}
function j$1(n) {
	if ((n = n.__) && n.__c && !n.props.__P) return n.__e = null, n.__k.some(function(t) {
		return t && (n.__e = t.__e);
	}), j$1(n);
}
function L(t) {
	(8 & t.__g || (t.__g |= 8, u$2.push(t), f$2++)) && i$2 == n$1.debounceRendering || ((i$2 = n$1.debounceRendering) || queueMicrotask)(H);
}
function H() {
	try {
		for (var n, t = 1; u$2.length;) u$2.length > t && u$2.sort(o$2), n = u$2.shift(), t = u$2.length, 8 & n.__g && C$1(n);
	} finally {
		(f$2 = u$2.length) && (i$2 || queueMicrotask)(H);
	}
}
function I(n, t, r, u, i, f, o, e, l, c, a) {
	var s, h, v, w, d, _, g = u.__k || y$3, k = t.length;
	for (l = q(r, t, g, l, k), s = 0; s < k; s++) null != (v = r.__k[s]) && (h = ~v.__i && g[v.__i] || p$3, v.__i = s, _ = z$1(n, v, h, i, f, o, e, l, c, a), w = v.__e, (h.ref != v.ref || 8 & h.__u) && (h.ref && G(h.ref, null, v, h), v.ref && a.push(v.ref, v.__c || w, v)), d = d || w, 4 & v.__u ? (l = A$2(v, l, n, !h.__v), h.__e && (h.__e = null)) : "function" == typeof v.type && void 0 !== _ ? l = _ : w && (l = w.nextSibling), v.__u &= -21);
	return r.__e = d, l;
}
function q(n, t, r, u, i) {
	var f, o, e, l, c, a, s, p, y, v = r.length, d = v, _ = 0, g = 0, k = n.__k = Array(i);
	for (f = 0; f < i; f++) null != (o = t[f]) && "boolean" != typeof o && "function" != typeof o ? ("object" != typeof o || o.constructor === String ? o = k[f] = m$3(null, o) : w$3(o) ? o = k[f] = m$3($, { children: o }) : o.constructor === h$4 && o.__b ? o = k[f] = m$3(o.type, o.props, o.key, o.ref, o.__v) : k[f] = o, l = f + _, o.__ = n, o.__b = n.__b + 1, e = null, ~(c = o.__i = P(o, r, l, d)) && (d--, (e = r[c]) && (e.__u |= 2)), e && e.__v ? (o.__u |= 16, c == l - 1 ? _-- : c == l + 1 ? _++ : c != l && (c > l ? _-- : _++, g = 1)) : (~c || (i > v ? _-- : i < v && _++), "function" != typeof o.type && (o.__u |= 4))) : k[f] = null;
	if (g) {
		for (a = [], s = [], f = 0; f < i; f++) if ((o = k[f]) && 16 & o.__u) {
			for (_ = 0, p = a.length; _ < p;) a[y = _ + p >> 1] < o.__i ? _ = y + 1 : p = y;
			a[_] = o.__i, s[f] = _ + 1;
		}
		for (_ = a.length; f--;) s[f] && (s[f] == _ ? _-- : k[f].__u |= 4);
	}
	if (d) for (f = 0; f < v; f++) !(e = r[f]) || 2 & e.__u || (e.__e == u && (u = S$1(e)), J(e, e));
	return u;
}
function A$2(n, t, r, u) {
	var i, f, o, e;
	if ("function" == typeof n.type) {
		if (n.props.__P) return t;
		if (i = n.__k) for (f = 0; f < i.length; f++) i[f] && (i[f].__ = n, t = A$2(i[f], t, r, !1));
		return t;
	}
	for (t && !t.parentNode && (t = S$1(n)) && !t.parentNode && (t = null), o = n.__e, e = t; e && 8 == e.nodeType;) e = e.nextSibling;
	for (o != e && (!u && r.moveBefore && o.parentNode ? r.moveBefore(o, t) : r.insertBefore(o, t || null)), t = o; (t = t && t.nextSibling) && 8 == t.nodeType && !t.data.startsWith("$s"););
	return t;
}
function P(n, t, r, u) {
	var i, f = n.key, o = n.type, e = t[r], l = e && !(2 & e.__u);
	if (null === e && null == f || l && f == e.key && o == e.type) return r;
	if (u > (l ? 1 : 0)) {
		for (i = r - 1; i >= 0; i--) if ((e = t[i]) && !(2 & e.__u) && f == e.key && o == e.type) return i;
		for (i = r + 1; i < t.length; i++) if ((e = t[i]) && !(2 & e.__u) && f == e.key && o == e.type) return i;
	}
	return -1;
}
function T$1(n, t, r) {
	r ??= "", "-" == t[0] ? n.setProperty(t, r) : n[t] = r;
}
function N(n, t, r, u, i) {
	var f, o;
	if ("style" == t) if ("string" == typeof r) n.style.cssText = r;
	else {
		if ("string" == typeof u && (n.style.cssText = u = ""), u) for (t in u) r && t in r || T$1(n.style, t);
		if (r) for (t in r) u && r[t] == u[t] || T$1(n.style, t, r[t]);
	}
	else if ("o" == t[0] && "n" == t[1]) "function" != typeof r && (r = null), "function" != typeof u && (u = null), (n.__e || (n.__e = {}))[t] = r, r && u || (o = a$2[t] || (a$2[t] = V(t)), (n.__a || (n.__a = {}))[t] = c$2, f = t != (t = t.replace(l$2, "$1")), (t = t.slice(2))[0] < "a" && (t = t.toLowerCase()), r ? n.addEventListener(t, o, f) : n.removeEventListener(t, o, f));
	else {
		if ("http://www.w3.org/2000/svg" == i) t = t.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
		else if ("width" != t && "height" != t && "href" != t && "list" != t && "form" != t && "tabIndex" != t && "download" != t && "rowSpan" != t && "colSpan" != t && "role" != t && "popover" != t && t in n) try {
			n[t] = null == r ? "" : r;
			return;
		} catch (n) {}
		if ("function" == typeof r) return;
		null == r || !1 === r && "-" != t[4] ? n.removeAttribute(t) : n.setAttribute(t, "popover" == t && 1 == r ? "" : r);
	}
}
function V(t) {
	return function(r) {
		var u = this.__e;
		if (u) {
			if (u = u[t], null == r[e$2]) r[e$2] = c$2++;
			else if (r[e$2] < this.__a[t]) return;
			return u(n$1.event ? n$1.event(r) : r);
		}
	};
}
function z$1(t, r, u, i, f, o, e, l, c, a) {
	var s, p, v, d, k, b, m, M, C, j, L, H, q, A, O, P, T, N, V = r.type;
	if (r.constructor !== h$4) return null;
	128 & u.__u && (c = 32 & u.__u, s = u.__c.__z) && (r.__u |= c, p = o = [], 8 == s.nodeType ? l = B$1(s, o) : o.push(s), l = o[0] || l), (s = n$1.__b) && s(r);
	n: if ("function" == typeof V) {
		v = e.length;
		try {
			if (M = r.props, C = (s = V.prototype) && s.render, j = (s = V.contextType) && i[s.__c], L = s ? j ? j.props.value : s.__ : i, (d = u.__c) ? (r.__c = d, 2 & d.__g && (d.__g |= 1)) : (C ? r.__c = d = new V(M, L) : (r.__c = d = new x$1(M, L), d.constructor = V, d.render = K), j && j.sub(d), d.state || (d.state = {}), d.__n = i, d.__g |= 8, d.__h = [], d.__k = []), C && (d.__s || (d.__s = d.state), V.getDerivedStateFromProps && (d.__s == d.state && (d.__s = _$2({}, d.__s)), _$2(d.__s, V.getDerivedStateFromProps(M, d.__s)))), k = d.props, b = d.state, d.__v = r, u.__c) {
				if (M !== k && C && !V.getDerivedStateFromProps && d.componentWillReceiveProps && d.componentWillReceiveProps(M, L), r.__v == u.__v && !(8 & d.__g) || !(4 & d.__g) && d.shouldComponentUpdate && !1 === d.shouldComponentUpdate(M, d.__s, L)) {
					r.__v != u.__v && (d.props = M, d.state = d.__s, d.__g &= -9), r.__e = u.__e, r.__k = u.__k, r.__k.some(function(n) {
						n && (n.__ = r);
					}), y$3.push.apply(d.__h, d.__k), d.__k = [], d.__h.length && e.push(d), l = S$1(u);
					break n;
				}
				d.componentWillUpdate && d.componentWillUpdate(M, d.__s, L), C && d.componentDidUpdate && d.__h.push(function() {
					d.componentDidUpdate(k, b, m);
				});
			} else C && !V.getDerivedStateFromProps && d.componentWillMount && d.componentWillMount(), C && d.componentDidMount && d.__h.push(d.componentDidMount);
			d.context = L, d.props = M, d.__P = t, d.__g &= -5, H = n$1.__r, q = C ? 25 : 0;
			do
				d.__g &= -9, H && H(r), s = d.render(d.props, d.state = d.__s, d.context);
			while (8 & d.__g && ++q < 25);
			C && (y$3.push.apply(d.__h, d.__k), d.__k = []), d.state = d.__s, d.getChildContext && (i = _$2({}, i, d.getChildContext())), C && u.__c && d.getSnapshotBeforeUpdate && (m = d.getSnapshotBeforeUpdate(k, b)), A = s && s.type === $ && null == s.key ? s.props.children : s, M.__P && (s = l, f = (t = M.__P).namespaceURI, c = o = null, u.props && u.props.__P != t && (u.__k.some(function(n) {
				n && J(n, n);
			}), u.__k = null), l = u.__k ? S$1(u, 0) : null), l = I(t, w$3(A) ? A : [A], r, u, i, f, o, e, l, c, a), M.__P && (r.__e = null, l = s), r.__u &= -161, p && p.some(g$3), d.__h.length && e.push(d), 1 & d.__g && (d.__g &= -4);
		} catch (t) {
			if (e.length = v, r.__v = null, c || o) if (t && t.then) {
				if (r.__u |= 128 | c, o) {
					for (~(T = o.indexOf(l || void 0)) || (T = o.length); (N = o[T - 1]) && 8 == N.nodeType;) T--;
					for (; T < o.length; T++) if (N = o[T]) if (o[T] = null, O) {
						if (N == P) break;
					} else {
						if (8 != N.nodeType) break;
						N.data.startsWith("$s") && (P = B$1(O = N));
					}
				}
				if (!O) {
					for (; l && 8 == l.nodeType && l.nextSibling;) l = l.nextSibling;
					O = l;
				}
				(s = B$1(O = r.__c.__z || (r.__c.__z = O))) ? (r.__e = O, l = s) : r.__e = l, l = l && l.nextSibling;
			} else o && o.some(g$3);
			else r.__e = u.__e;
			r.__k || (r.__k = u.__k || []), t && t.then || D$1(r), n$1.__e(t, r, u);
		}
	} else l = r.__e = F$2(u.__e, r, u, i, f, o, e, c, a, t);
	return (s = n$1.diffed) && s(r), l;
}
function B$1(n, t) {
	if (n && 8 == n.nodeType && n.data.startsWith("$s")) for (var r = 1; n = n.nextSibling;) {
		if (8 == n.nodeType) {
			if (n.data.startsWith("$s")) r++;
			else if (n.data.startsWith("/$s") && !--r) return n;
		}
		t && t.push(n);
	}
}
function D$1(n) {
	n && (n.__c && (n.__c.__g |= 4), n.__k && n.__k.some(D$1));
}
function E$1(t, r, u) {
	for (var i = 0; i < u.length;) G(u[i++], u[i++], u[i++]);
	n$1.__c && n$1.__c(r, t), t.some(function(r) {
		try {
			t = r.__h, r.__h = [], t.some(function(n) {
				n.call(r);
			});
		} catch (t) {
			n$1.__e(t, r.__v);
		}
	});
}
function F$2(t, r, u, i, f, o, e, l, c, a) {
	var s, h, y, _, k, b, m, M, $ = u.props || p$3, x = r.props, C = r.type;
	if ("svg" == C ? f = "http://www.w3.org/2000/svg" : "math" == C ? f = "http://www.w3.org/1998/Math/MathML" : f || (f = "http://www.w3.org/1999/xhtml"), o) {
		for (s = 0; s < o.length; s++) if ((k = o[s]) && (C ? k.localName == C : 3 == k.nodeType)) {
			t = k, o[s] = null;
			break;
		}
	}
	if (!t) {
		if (M = a.ownerDocument || document, !C) return M.createTextNode(x);
		t = M.createElementNS(f, C, x.is ? x : a), l && (n$1.__m && n$1.__m(r, o), l = !1), o = null;
	}
	if (C) {
		if (a = "template" == C && t.content || t, o = "textarea" == C && null != x.defaultValue ? null : o && d$2.call(a.childNodes), !l && o) for ($ = {}, s = 0; s < t.attributes.length; s++) $[(k = t.attributes[s]).name] = k.value;
		for (s in $) k = $[s], "dangerouslySetInnerHTML" == s ? y = k : "children" == s || s in x || "value" == s && "defaultValue" in x || "checked" == s && "defaultChecked" in x || N(t, s, null, k, f);
		for (s in x) k = x[s], "children" == s ? _ = k : "dangerouslySetInnerHTML" == s ? h = k : "value" == s ? b = k : "checked" == s ? m = k : l && "function" != typeof k || $[s] === k || N(t, s, k, $[s], f);
		h ? (l || y && (h.__html == y.__html || h.__html == t.innerHTML) || (t.innerHTML = h.__html), r.__k = []) : (y && (t.textContent = ""), ("foreignObject" == C || "http://www.w3.org/1998/Math/MathML" == f && v$2.test(C)) && (f = "http://www.w3.org/1999/xhtml"), I(a, w$3(_) ? _ : [_], r, u, i, f, o, e, o ? o[0] : u.__k && S$1(u, 0), l, c), o && o.some(g$3)), l && "textarea" != C || (s = "value", "progress" == C && null == b ? t.removeAttribute(s) : null == b || b === t[s] && ("progress" != C || b) || N(t, s, b, $[s], f), s = "checked", null != m && m != t[s] && N(t, s, m, $[s], f));
	} else $ === x || l && t.data == x || (t.data = x);
	return t;
}
function G(t, r, u, i) {
	try {
		"function" == typeof t ? r ? r.__x = t(r) || 1 : i && (i = i.__c || i.__e) && (r = i.__x) && (i.__x = null, "function" == typeof r ? r() : t(null)) : t.current = r;
	} catch (t) {
		n$1.__e(t, u);
	}
}
function J(t, r, u) {
	var i, f, o, e;
	if (n$1.unmount && n$1.unmount(t), !(i = t.ref) || i.current && i.current != t.__e || G(i, null, r, t), i = t.__c) {
		if (i.componentWillUnmount) try {
			i.componentWillUnmount();
		} catch (t) {
			n$1.__e(t, r);
		}
		i.__P = i.__n = null;
	}
	if (i = t.__k) for (e = 0; e < i.length; e++) i[e] && J(i[e], r, "function" != typeof t.type || u && !t.props.__P);
	!u && (i = t.__c) && (i = i.__z) && (f = B$1(i, o = [])) && (i == t.__e && o.some(g$3), g$3(f), g$3(i)), u || g$3(t.__e), t.__e = t.__c = t.__ = null;
}
function K(n, t, r) {
	return this.constructor(n, r);
}
function Q(t, r) {
	var u, i, f, o;
	n$1.__ && n$1.__(t, r), 9 == r.nodeType && (r = r.documentElement), i = (u = t && 32 & t.__u) ? null : r.__k, r.__k = m$3($, { children: [t] }), f = [], o = [], z$1(r, r.__k, i || p$3, p$3, r.namespaceURI, i ? null : r.firstChild ? d$2.call(r.childNodes) : null, f, i ? i.__e : r.firstChild, u, o), E$1(f, r.__k, o), r.__k.props.children = null;
}
n$1 = { __e: function(n, t, r, u) {
	for (var i, o, e; t = t.__;) if ((i = t.__c) && !(1 & i.__g)) {
		i.__g |= 4;
		try {
			if ((e = (o = i.constructor) && o.getDerivedStateFromError) && i.setState(o.getDerivedStateFromError(n)), i.componentDidCatch && (i.componentDidCatch(n, u || {}), e = 1), e && 8 & i.__g) return void (i.__g |= 2);
		} catch (t) {
			n = t;
		}
	}
	throw f$2 = 0, n;
} }, t$2 = 0, r$2 = function(n) {
	return null != n && n.constructor === h$4;
}, x$1.prototype.setState = function(n, t) {
	var r = this.__s;
	r && r != this.state || (r = this.__s = _$2({}, this.state)), "function" == typeof n && (n = n(_$2({}, r), this.props)), n && (_$2(r, n), this.__v && (t && this.__k.push(t), L(this)));
}, x$1.prototype.forceUpdate = function(n) {
	this.__v && (this.__g |= 4, n && this.__h.push(n), L(this));
}, x$1.prototype.render = $, u$2 = [], f$2 = 0, o$2 = function(n, t) {
	return n.__v.__b - t.__v.__b;
}, e$2 = Symbol(), l$2 = /(PointerCapture)$|Capture$/i, c$2 = 0, a$2 = {};
// node_modules/preact/hooks/dist/hooks.mjs
var t$1;
var r$1;
var u$1;
var i$1;
var o$1 = Object.is;
var f$1 = 0;
var c$1 = [];
var e$1 = [];
var a$1 = n$1;
var v$1 = a$1.__b;
var l$1 = a$1.__r;
var m$2 = a$1.diffed;
var h$3 = a$1.__c;
var s$1 = a$1.unmount;
var p$2 = a$1.__;
function y$2(n, t) {
	a$1.__h && a$1.__h(r$1, n, f$1 || t), f$1 = 0;
	var u = r$1.__H || (r$1.__H = {
		__: [],
		__h: []
	});
	return n >= u.__.length && u.__.push({}), u.__[n];
}
function A$1(n, u) {
	var i = y$2(t$1++, 3);
	!a$1.__s && E(i.__H, u) && (i.__P = !0, i.__ = n, i.u = u, r$1.__H.__h.push(i));
}
function F$1(n, u) {
	var i = y$2(t$1++, 4);
	!a$1.__s && E(i.__H, u) && (i.__P = !1, i.__ = n, i.u = u, r$1.__h.push(i));
}
function T(n) {
	return f$1 = 5, w$2(function() {
		return { current: n };
	}, []);
}
function w$2(n, r) {
	var u = y$2(t$1++, 7);
	return E(u.__H, r) && (u.__ = n(), u.__H = r), u.__;
}
function g$2() {
	var n;
	do {
		for (; n = e$1.shift();) try {
			C(n);
		} catch (t) {
			a$1.__e(t, { __: (n = n.__P) && n.__v });
		}
		for (; n = c$1.shift();) {
			var t = n.__H;
			if (n.__P && t) try {
				t.__h.some(C), t.__h.some(D), t.__h = [];
			} catch (r) {
				t.__h = [], a$1.__e(r, n.__v);
			}
		}
	} while (e$1.length);
}
a$1.__b = function(n) {
	r$1 = null, v$1 && v$1(n);
}, a$1.__ = function(n, t) {
	n && t.__k && t.__k.__m && (n.__m = t.__k.__m), p$2 && p$2(n, t);
}, a$1.__r = function(n) {
	l$1 && l$1(n), t$1 = 0;
	var i = (r$1 = n.__c).__H;
	i && (u$1 == r$1 ? r$1.__h = [] : (i.__h.some(C), i.__h.some(D), t$1 = 0), i.__h = [], i.__.some(function(n) {
		n.__N && (n.__ = n.__N), n.u = n.__N = void 0;
	})), u$1 = r$1;
}, a$1.diffed = function(n) {
	m$2 && m$2(n);
	var t = n.__c;
	t && t.__H && (t.__H.__h.length && B(c$1.push(t)), t.__H.__.some(function(n) {
		n.u && (n.__H = n.u);
	})), u$1 = r$1 = null;
}, a$1.__c = function(n, t) {
	t.some(function(n) {
		try {
			n.__h.some(C), n.__h = n.__h.filter(function(n) {
				return !n.__ || D(n);
			});
		} catch (t) {
			n.__h = [function() {
				throw t;
			}];
		}
	}), h$3 && h$3(n, t);
}, a$1.unmount = function(n) {
	s$1 && s$1(n);
	var t, r, u = n.__c;
	u && u.__H && (u.__H.__.some(function(u) {
		try {
			if (u.__P && u.__c) {
				if (void 0 === r) {
					for (r = n.__; r && (!r.__c || !r.__c.__P);) r = r.__;
					r = r && r.__c;
				}
				u.__P = r, B(e$1.push(u));
			} else C(u);
		} catch (n) {
			t = n;
		}
	}), u.__H = void 0, t && a$1.__e(t, u.__v));
};
var k$1 = "function" == typeof requestAnimationFrame;
function z(n) {
	var t, r = function() {
		clearTimeout(u), k$1 && cancelAnimationFrame(t), setTimeout(n);
	}, u = setTimeout(r, 35);
	k$1 && (t = requestAnimationFrame(r));
}
function B(n) {
	1 != n && i$1 == a$1.requestAnimationFrame || ((i$1 = a$1.requestAnimationFrame) || z)(g$2);
}
function C(n) {
	var t = r$1, u = n.__c;
	"function" == typeof u && (n.__c = void 0, u()), r$1 = t;
}
function D(n) {
	var t = r$1;
	n.__c = n.__(), r$1 = t;
}
function E(n, t) {
	return !n || n.length != t.length || t.some(function(t, r) {
		return !o$1(t, n[r]);
	});
}
// node_modules/@preact/signals-core/dist/signals-core.module.js
var i = Symbol.for("preact-signals");
function t() {
	if (!(v > 1)) {
		var i, t = !1;
		(function() {
			var i = c;
			c = void 0;
			while (void 0 !== i) {
				var t = i.S;
				if (t.v === i.v) {
					for (var r = t.t; void 0 !== r; r = r.x) if (r.i === i.i) r.i = t.i;
				}
				i = i.o;
			}
		})();
		while (void 0 !== h$2) {
			var r = h$2;
			h$2 = void 0;
			s++;
			while (void 0 !== r) {
				var n = r.u;
				r.u = void 0;
				r.f &= -3;
				if (!(8 & r.f) && w$1(r)) try {
					r.c();
				} catch (r) {
					if (!t) {
						i = r;
						t = !0;
					}
				}
				r = n;
			}
		}
		s = 0;
		v--;
		if (t) throw i;
	} else v--;
}
function r(i) {
	if (v > 0) return i();
	u = ++e;
	v++;
	try {
		return i();
	} finally {
		t();
	}
}
var n;
var o = void 0;
function f(i) {
	var t = o, r = n;
	o = void 0;
	n = void 0;
	try {
		return i();
	} finally {
		o = t;
		n = r;
	}
}
var h$2 = void 0;
var v = 0;
var s = 0;
var e = 0;
var u = 0;
var c = void 0;
var a = 0;
function d$1(i) {
	if (void 0 !== o) {
		var t = i.n;
		if (void 0 === t || t.t !== o) {
			t = {
				i: 0,
				S: i,
				p: o.s,
				n: void 0,
				t: o,
				e: void 0,
				x: void 0,
				r: t
			};
			if (void 0 !== o.s) o.s.n = t;
			o.s = t;
			i.n = t;
			if (32 & o.f) i.S(t);
			return t;
		} else if (-1 === t.i) {
			t.i = 0;
			if (void 0 !== t.n) {
				t.n.p = t.p;
				if (void 0 !== t.p) t.p.n = t.n;
				t.p = o.s;
				t.n = void 0;
				o.s.n = t;
				o.s = t;
			}
			return t;
		}
	}
}
function l(i, t) {
	this.v = i;
	this.i = 0;
	this.n = void 0;
	this.t = void 0;
	this.l = 0;
	this.W = null == t ? void 0 : t.watched;
	this.Z = null == t ? void 0 : t.unwatched;
	this.name = null == t ? void 0 : t.name;
}
l.prototype.brand = i;
l.prototype.h = function() {
	return !0;
};
l.prototype.S = function(i) {
	var t = this, r = this.t;
	if (r !== i && void 0 === i.e) {
		i.x = r;
		this.t = i;
		if (void 0 !== r) r.e = i;
		else f(function() {
			var i;
			null == (i = t.W) || i.call(t);
		});
	}
};
l.prototype.U = function(i) {
	var t = this;
	if (void 0 !== this.t) {
		var r = i.e, n = i.x;
		if (void 0 !== r) {
			r.x = n;
			i.e = void 0;
		}
		if (void 0 !== n) {
			n.e = r;
			i.x = void 0;
		}
		if (i === this.t) {
			this.t = n;
			if (void 0 === n) f(function() {
				var i;
				null == (i = t.Z) || i.call(t);
			});
		}
	}
};
l.prototype.subscribe = function(i) {
	var t = this;
	return x(function() {
		var r = t.value;
		f(function() {
			return i(r);
		});
	}, { name: "sub" });
};
l.prototype.valueOf = function() {
	return this.value;
};
l.prototype.toString = function() {
	return this.value + "";
};
l.prototype.toJSON = function() {
	return this.value;
};
l.prototype.peek = function() {
	var i = this;
	return f(function() {
		return i.value;
	});
};
Object.defineProperty(l.prototype, "value", {
	get: function() {
		var i = d$1(this);
		if (void 0 !== i) i.i = this.i;
		return this.v;
	},
	set: function(i) {
		if (i !== this.v) {
			if (s > 100) throw new Error("Cycle detected");
			(function(i) {
				if (0 !== v && 0 === s) {
					if (i.l !== u) {
						i.l = u;
						c = {
							S: i,
							v: i.v,
							i: i.i,
							o: c
						};
					}
				}
			})(this);
			this.v = i;
			this.i++;
			a++;
			v++;
			try {
				for (var r = this.t; void 0 !== r; r = r.x) r.t.N();
			} finally {
				t();
			}
		}
	}
});
function y$1(i, t) {
	return new l(i, t);
}
function w$1(i) {
	for (var t = i.s; void 0 !== t; t = t.n) if (t.S.i !== t.i || !t.S.h() || t.S.i !== t.i) return !0;
	return !1;
}
function b$1(i) {
	for (var t = i.s; void 0 !== t; t = t.n) {
		var r = t.S.n;
		if (void 0 !== r) t.r = r;
		t.S.n = t;
		t.i = -1;
		if (void 0 === t.n) {
			i.s = t;
			break;
		}
	}
}
function _$1(i) {
	var t = i.s, r = void 0;
	while (void 0 !== t) {
		var n = t.p;
		if (-1 === t.i) {
			t.S.U(t);
			if (void 0 !== n) n.n = t.n;
			if (void 0 !== t.n) t.n.p = n;
		} else r = t;
		t.S.n = t.r;
		if (void 0 !== t.r) t.r = void 0;
		t = n;
	}
	i.s = r;
}
function j(i, t) {
	l.call(this, void 0, t);
	this.x = i;
	this.s = void 0;
	this.g = a - 1;
	this.f = 4;
}
j.prototype = new l();
j.prototype.h = function() {
	this.f &= -3;
	if (1 & this.f) return !1;
	if (32 == (36 & this.f)) return !0;
	this.f &= -5;
	if (this.g === a) return !0;
	this.g = a;
	this.f |= 1;
	if (this.i > 0 && !w$1(this)) {
		this.f &= -2;
		return !0;
	}
	var i = o;
	try {
		b$1(this);
		o = this;
		var t = this.x();
		if (16 & this.f || this.v !== t || 0 === this.i) {
			this.v = t;
			this.f &= -17;
			this.i++;
		}
	} catch (i) {
		this.v = i;
		this.f |= 16;
		this.i++;
	}
	o = i;
	_$1(this);
	this.f &= -2;
	return !0;
};
j.prototype.S = function(i) {
	if (void 0 === this.t) {
		this.f |= 36;
		for (var t = this.s; void 0 !== t; t = t.n) t.S.S(t);
	}
	l.prototype.S.call(this, i);
};
j.prototype.U = function(i) {
	if (void 0 !== this.t) {
		l.prototype.U.call(this, i);
		if (void 0 === this.t) {
			this.f &= -33;
			for (var t = this.s; void 0 !== t; t = t.n) t.S.U(t);
		}
	}
};
j.prototype.N = function() {
	if (!(2 & this.f)) {
		this.f |= 6;
		for (var i = this.t; void 0 !== i; i = i.x) i.t.N();
	}
};
Object.defineProperty(j.prototype, "value", { get: function() {
	if (1 & this.f) throw new Error("Cycle detected");
	var i = d$1(this);
	this.h();
	if (void 0 !== i) i.i = this.i;
	if (16 & this.f) throw this.v;
	return this.v;
} });
function O(i, t) {
	return new j(i, t);
}
function p$1(i) {
	var r = i.j;
	i.j = void 0;
	if ("function" == typeof r) {
		v++;
		var n = o;
		o = void 0;
		try {
			r();
		} catch (t) {
			i.f &= -2;
			i.f |= 8;
			g$1(i);
			throw t;
		} finally {
			o = n;
			t();
		}
	}
}
function g$1(i) {
	for (var t = i.s; void 0 !== t; t = t.n) t.S.U(t);
	i.x = void 0;
	i.s = void 0;
	p$1(i);
}
function S(i) {
	if (o !== this) throw new Error("Out-of-order effect");
	_$1(this);
	o = i;
	this.f &= -2;
	try {
		if (8 & this.f) g$1(this);
	} finally {
		t();
	}
}
function m$1(i, t) {
	this.x = i;
	this.j = void 0;
	this.s = void 0;
	this.u = void 0;
	this.f = 32;
	this.name = null == t ? void 0 : t.name;
	if (n) n.push(this);
}
m$1.prototype.c = function() {
	var i = this.S();
	try {
		if (8 & this.f) return;
		if (void 0 === this.x) return;
		var t = this.x();
		if ("function" == typeof t) this.j = t;
	} finally {
		i();
	}
};
m$1.prototype.S = function() {
	if (1 & this.f) throw new Error("Cycle detected");
	this.f |= 1;
	this.f &= -9;
	p$1(this);
	b$1(this);
	v++;
	var i = o;
	o = this;
	return S.bind(this, i);
};
m$1.prototype.N = function() {
	if (!(2 & this.f)) {
		this.f |= 2;
		this.u = h$2;
		h$2 = this;
	}
};
m$1.prototype.d = function() {
	this.f |= 8;
	if (!(1 & this.f)) g$1(this);
};
m$1.prototype.dispose = function() {
	this.d();
};
function x(i, t) {
	var r = new m$1(i, t);
	try {
		r.c();
	} catch (i) {
		r.d();
		throw i;
	}
	var n = r.d.bind(r);
	n[Symbol.dispose] = n;
	return n;
}
// node_modules/@preact/signals/dist/signals.module.js
var h$1;
var p;
var m = "undefined" != typeof window && !!window.__PREACT_SIGNALS_DEVTOOLS__;
var g = [];
x(function() {
	h$1 = this.N;
})();
function b(i, n) {
	n$1[i] = n.bind(null, n$1[i] || function() {});
}
function y(i) {
	if (p) {
		var n = p;
		p = void 0;
		n();
	}
	p = i && i.S();
}
function w(i) {
	var n = this, r = i.data, t = useSignal(r);
	t.name = "ReactiveDom";
	t.value = r;
	var e = w$2(function() {
		var i = n, r = n.__v;
		while (r = r.__) if (r.__c) {
			r.__c.__$f |= 4;
			break;
		}
		var o = O(function() {
			var i = t.value.value;
			return 0 === i ? 0 : !0 === i ? "" : i || "";
		}), e = O(function() {
			return !Array.isArray(o.value) && !r$2(o.value);
		}), u = x(function() {
			this.N = M$1;
			if (e.value) {
				var n = o.value;
				if (i.__v && i.__v.__e && 3 === i.__v.__e.nodeType) i.__v.__e.data = n;
			}
		}), c = n.__$u.d;
		n.__$u.d = function() {
			u();
			c.call(this);
		};
		return [e, o];
	}, []), u = e[0], c = e[1];
	return u.value ? c.peek() : c.value;
}
w.displayName = "ReactiveTextNode";
Object.defineProperties(l.prototype, {
	constructor: {
		configurable: !0,
		value: k$2($, null).constructor
	},
	type: {
		configurable: !0,
		value: w
	},
	props: {
		configurable: !0,
		get: function() {
			var i = this;
			return { data: { get value() {
				return i.value;
			} } };
		}
	},
	__b: {
		configurable: !0,
		value: 1
	}
});
b("__b", function(i, n) {
	y();
	if ("string" == typeof n.type) {
		var r, t = n.props;
		for (var f in t) if ("children" !== f) {
			var o = t[f];
			if (o instanceof l) {
				if (!r) n.__np = r = {};
				r[f] = o;
				t[f] = o.peek();
			}
		}
	}
	i(n);
});
b("__r", function(i, r) {
	i(r);
	if (r.type !== $) {
		y();
		var t, f = r.__c;
		if (f) {
			f.__$f &= -2;
			if (void 0 === (t = f.__$u)) f.__$u = t = function(i, n) {
				var r;
				x(function() {
					r = this;
				}, { name: n });
				r.c = i;
				return r;
			}(function(i) {
				return function() {
					var n;
					if (m) null == (n = this.y) || n.call(this);
					i.__$f |= 1;
					i.setState({});
				};
			}(f), "function" == typeof r.type ? r.type.displayName || r.type.name : "");
		}
		y(t);
	}
});
b("__e", function(i, n, r, t) {
	y();
	i(n, r, t);
});
b("diffed", function(i, n) {
	y();
	var r;
	if ("string" == typeof n.type && (r = n.__e)) {
		var t = n.__np, f = n.props, o = r.U;
		if (o) for (var e in o) {
			var u = o[e];
			if (!(void 0 === u || t && e in t)) {
				u.d();
				o[e] = void 0;
			}
		}
		if (t) {
			if (!o) {
				o = {};
				r.U = o;
			}
			for (var a in t) {
				var c = o[a], v = t[a];
				if (void 0 === c) {
					c = k(r, a, v, f);
					o[a] = c;
				} else c.o(v, f);
			}
		}
	}
	i(n);
});
function k(i, n, r, t) {
	var f = n in i && void 0 === i.ownerSVGElement, o = y$1(r);
	return {
		o: function(i, n) {
			o.value = i;
			t = n;
		},
		d: x(function() {
			this.N = M$1;
			var r = o.value.value;
			if (t[n] !== r) {
				t[n] = r;
				if (f) i[n] = r;
				else if (null != r && (!1 !== r || "-" === n[4])) i.setAttribute(n, r);
				else i.removeAttribute(n);
			}
		})
	};
}
b("unmount", function(i, n) {
	if ("string" == typeof n.type) {
		var r = n.__e;
		if (r) {
			var t = r.U;
			if (t) {
				r.U = void 0;
				for (var f in t) {
					var o = t[f];
					if (o) o.d();
				}
			}
		}
		var e = n.__np;
		if (e) {
			var u = n.props;
			for (var a in e) u[a] = e[a];
		}
		n.__np = void 0;
	} else {
		var c = n.__c;
		if (c) {
			c.__$f |= 8;
			var v = c.__$u;
			if (v) {
				c.__$u = void 0;
				v.d();
			}
		}
	}
	i(n);
});
b("__h", function(i, n, r, t) {
	if (t < 3) n.__$f |= 2;
	i(n, r, t);
});
x$1.prototype.shouldComponentUpdate = function(i, n) {
	if (this.__R) return !0;
	var r = this.__$u, t = r && void 0 !== r.s;
	for (var f in n) return !0;
	if (this.__f || "boolean" == typeof this.u && !0 === this.u) {
		var o = 2 & this.__$f;
		if (!(t || o || 4 & this.__$f)) return !0;
		if (1 & this.__$f) return !0;
	} else {
		if (!(t || 4 & this.__$f)) return !0;
		if (3 & this.__$f) return !0;
	}
	for (var e in i) if ("__source" !== e && i[e] !== this.props[e]) return !0;
	for (var u in this.props) if (!(u in i)) return !0;
	return !1;
};
function useSignal(i, n) {
	return w$2(function() {
		return y$1(i, n);
	}, []);
}
var A = function(i) {
	queueMicrotask(function() {
		queueMicrotask(i);
	});
};
function F() {
	r(function() {
		var i;
		while (i = g.shift()) h$1.call(i);
	});
}
function M$1() {
	if (1 === g.push(this)) (n$1.requestAnimationFrame || A)(F);
}
// node_modules/universal-router/path-to-regexp.js
/*! Path-to-RegExp | MIT License | https://github.com/pillarjs/path-to-regexp */ var DEFAULT_DELIMITER = "/";
var NOOP_VALUE = (value) => value;
var ID_START = /^[$_\p{ID_Start}]$/u;
var ID_CONTINUE = /^[$\u200c\u200d\p{ID_Continue}]$/u;
var DEBUG_URL = "https://git.new/pathToRegexpError";
var SIMPLE_TOKENS = {
	"{": "{",
	"}": "}",
	"(": "(",
	")": ")",
	"[": "[",
	"]": "]",
	"+": "+",
	"?": "?",
	"!": "!"
};
/**
* Escape a regular expression string.
*/
function escape(str) {
	return str.replace(/[.+*?^${}()[\]|/\\]/g, "\\$&");
}
/**
* Tokenize input string.
*/
function* lexer(str) {
	const chars = [...str];
	let i = 0;
	function name() {
		let value = "";
		if (ID_START.test(chars[++i])) {
			value += chars[i];
			while (ID_CONTINUE.test(chars[++i])) value += chars[i];
		} else if (chars[i] === "\"") {
			let pos = i;
			while (i < chars.length) {
				if (chars[++i] === "\"") {
					i++;
					pos = 0;
					break;
				}
				if (chars[i] === "\\") value += chars[++i];
				else value += chars[i];
			}
			if (pos) throw new TypeError(`Unterminated quote at ${pos}: ${DEBUG_URL}`);
		}
		if (!value) throw new TypeError(`Missing parameter name at ${i}: ${DEBUG_URL}`);
		return value;
	}
	while (i < chars.length) {
		const value = chars[i];
		const type = SIMPLE_TOKENS[value];
		if (type) yield {
			type,
			index: i++,
			value
		};
		else if (value === "\\") yield {
			type: "ESCAPED",
			index: i++,
			value: chars[i++]
		};
		else if (value === ":") {
			const value = name();
			yield {
				type: "PARAM",
				index: i,
				value
			};
		} else if (value === "*") {
			const value = name();
			yield {
				type: "WILDCARD",
				index: i,
				value
			};
		} else yield {
			type: "CHAR",
			index: i,
			value: chars[i++]
		};
	}
	return {
		type: "END",
		index: i,
		value: ""
	};
}
var Iter = class {
	constructor(tokens) {
		this.tokens = tokens;
	}
	peek() {
		if (!this._peek) {
			const next = this.tokens.next();
			this._peek = next.value;
		}
		return this._peek;
	}
	tryConsume(type) {
		const token = this.peek();
		if (token.type !== type) return;
		this._peek = void 0;
		return token.value;
	}
	consume(type) {
		const value = this.tryConsume(type);
		if (value !== void 0) return value;
		const { type: nextType, index } = this.peek();
		throw new TypeError(`Unexpected ${nextType} at ${index}, expected ${type}: ${DEBUG_URL}`);
	}
	text() {
		let result = "";
		let value;
		while (value = this.tryConsume("CHAR") || this.tryConsume("ESCAPED")) result += value;
		return result;
	}
};
/**
* Tokenized path instance.
*/
var TokenData = class {
	constructor(tokens) {
		this.tokens = tokens;
	}
};
/**
* Parse a string for the raw tokens.
*/
function parse(str, options = {}) {
	const { encodePath = NOOP_VALUE } = options;
	const it = new Iter(lexer(str));
	function consume(endType) {
		const tokens = [];
		while (true) {
			const path = it.text();
			if (path) tokens.push({
				type: "text",
				value: encodePath(path)
			});
			const param = it.tryConsume("PARAM");
			if (param) {
				tokens.push({
					type: "param",
					name: param
				});
				continue;
			}
			const wildcard = it.tryConsume("WILDCARD");
			if (wildcard) {
				tokens.push({
					type: "wildcard",
					name: wildcard
				});
				continue;
			}
			if (it.tryConsume("{")) {
				tokens.push({
					type: "group",
					tokens: consume("}")
				});
				continue;
			}
			it.consume(endType);
			return tokens;
		}
	}
	return new TokenData(consume("END"));
}
/**
* Transform a path into a match function.
*/
function match(path, options = {}) {
	const { decode = decodeURIComponent, delimiter = DEFAULT_DELIMITER } = options;
	const { regexp, keys } = pathToRegexp(path, options);
	const decoders = keys.map((key) => {
		if (decode === false) return NOOP_VALUE;
		if (key.type === "param") return decode;
		return (value) => value.split(delimiter).map(decode);
	});
	return function match(input) {
		const m = regexp.exec(input);
		if (!m) return false;
		const path = m[0];
		const params = Object.create(null);
		for (let i = 1; i < m.length; i++) {
			if (m[i] === void 0) continue;
			const key = keys[i - 1];
			const decoder = decoders[i - 1];
			params[key.name] = decoder(m[i]);
		}
		return {
			path,
			params
		};
	};
}
function pathToRegexp(path, options = {}) {
	const { delimiter = DEFAULT_DELIMITER, end = true, sensitive = false, trailing = true } = options;
	const keys = [];
	const sources = [];
	const flags = sensitive ? "" : "i";
	const items = (Array.isArray(path) ? path : [path]).map((path) => path instanceof TokenData ? path : parse(path, options));
	for (const { tokens } of items) for (const seq of flatten(tokens, 0, [])) {
		const regexp = sequenceToRegExp(seq, delimiter, keys);
		sources.push(regexp);
	}
	let pattern = `^(?:${sources.join("|")})`;
	if (trailing) pattern += `(?:${escape(delimiter)}$)?`;
	pattern += end ? "$" : `(?=${escape(delimiter)}|$)`;
	return {
		regexp: new RegExp(pattern, flags),
		keys
	};
}
/**
* Generate a flat list of sequence tokens from the given tokens.
*/
function* flatten(tokens, index, init) {
	if (index === tokens.length) return yield init;
	const token = tokens[index];
	if (token.type === "group") {
		const fork = init.slice();
		for (const seq of flatten(token.tokens, 0, fork)) yield* flatten(tokens, index + 1, seq);
	} else init.push(token);
	yield* flatten(tokens, index + 1, init);
}
/**
* Transform a flat sequence of tokens into a regular expression.
*/
function sequenceToRegExp(tokens, delimiter, keys) {
	let result = "";
	let backtrack = "";
	let isSafeSegmentParam = true;
	for (let i = 0; i < tokens.length; i++) {
		const token = tokens[i];
		if (token.type === "text") {
			result += escape(token.value);
			backtrack += token.value;
			isSafeSegmentParam || (isSafeSegmentParam = token.value.includes(delimiter));
			continue;
		}
		if (token.type === "param" || token.type === "wildcard") {
			if (!isSafeSegmentParam && !backtrack) throw new TypeError(`Missing text after "${token.name}": ${DEBUG_URL}`);
			if (token.type === "param") result += `(${negate(delimiter, isSafeSegmentParam ? "" : backtrack)}+)`;
			else result += `([\\s\\S]+)`;
			keys.push(token);
			backtrack = "";
			isSafeSegmentParam = false;
			continue;
		}
	}
	return result;
}
function negate(delimiter, backtrack) {
	if (backtrack.length < 2) {
		if (delimiter.length < 2) return `[^${escape(delimiter + backtrack)}]`;
		return `(?:(?!${escape(delimiter)})[^${escape(backtrack)}])`;
	}
	if (delimiter.length < 2) return `(?:(?!${escape(backtrack)})[^${escape(delimiter)}])`;
	return `(?:(?!${escape(backtrack)}|${escape(delimiter)})[\\s\\S])`;
}
// node_modules/universal-router/universal-router-sync.js
/**
* Universal Router (https://www.kriasoft.com/universal-router/)
*
* Copyright (c) 2015-present Kriasoft.
*
* This source code is licensed under the MIT license found in the
* LICENSE.txt file in the root directory of this source tree.
*/
function decode(val) {
	try {
		return decodeURIComponent(val);
	} catch {
		return val;
	}
}
function matchRoute(route, baseUrl, options, pathname, parentParams) {
	let matchResult;
	let childMatches;
	let childIndex = 0;
	return { next(routeToSkip) {
		if (route === routeToSkip) return {
			done: true,
			value: false
		};
		if (!matchResult) {
			const rt = route;
			const end = !rt.children;
			if (!rt.match) rt.match = match(rt.path || "", {
				end,
				...options
			});
			matchResult = rt.match(pathname);
			if (matchResult) {
				const { path } = matchResult;
				matchResult.path = !end && path.charAt(path.length - 1) === "/" ? path.substr(1) : path;
				matchResult.params = {
					...parentParams,
					...matchResult.params
				};
				return {
					done: false,
					value: {
						route,
						baseUrl,
						path: matchResult.path,
						params: matchResult.params
					}
				};
			}
		}
		if (matchResult && route.children) while (childIndex < route.children.length) {
			if (!childMatches) {
				const childRoute = route.children[childIndex];
				childRoute.parent = route;
				childMatches = matchRoute(childRoute, baseUrl + matchResult.path, options, pathname.substr(matchResult.path.length), matchResult.params);
			}
			const childMatch = childMatches.next(routeToSkip);
			if (!childMatch.done) return {
				done: false,
				value: childMatch.value
			};
			childMatches = null;
			childIndex++;
		}
		return {
			done: true,
			value: false
		};
	} };
}
function resolveRoute(context, params) {
	if (typeof context.route.action === "function") return context.route.action(context, params);
}
function isChildRoute(parentRoute, childRoute) {
	let route = childRoute;
	while (route) {
		route = route.parent;
		if (route === parentRoute) return true;
	}
	return false;
}
var UniversalRouterSync = class {
	constructor(routes, options) {
		if (!routes || typeof routes !== "object") throw new TypeError("Invalid routes");
		this.options = {
			decode,
			...options
		};
		this.baseUrl = this.options.baseUrl || "";
		this.root = Array.isArray(routes) ? {
			path: "",
			children: routes,
			parent: null
		} : routes;
		this.root.parent = null;
	}
	/**
	* Traverses the list of routes in the order they are defined until it finds
	* the first route that matches provided URL path string and whose action function
	* returns anything other than `null` or `undefined`.
	*/
	resolve(pathnameOrContext) {
		const context = {
			router: this,
			...this.options.context,
			...typeof pathnameOrContext === "string" ? { pathname: pathnameOrContext } : pathnameOrContext
		};
		const matchResult = matchRoute(this.root, this.baseUrl, this.options, context.pathname.substr(this.baseUrl.length));
		const resolve = this.options.resolveRoute || resolveRoute;
		let matches;
		let nextMatches;
		let currentContext = context;
		function next(resume, parent = !matches.done && matches.value.route, prevResult) {
			const routeToSkip = prevResult === null && !matches.done && matches.value.route;
			matches = nextMatches || matchResult.next(routeToSkip);
			nextMatches = null;
			if (!resume) {
				if (matches.done || !isChildRoute(parent, matches.value.route)) {
					nextMatches = matches;
					return null;
				}
			}
			if (matches.done) {
				const error = /* @__PURE__ */ new Error("Route not found");
				error.status = 404;
				throw error;
			}
			currentContext = {
				...context,
				...matches.value
			};
			const result = resolve(currentContext, matches.value.params);
			if (result !== null && result !== void 0) return result;
			return next(resume, parent, result);
		}
		context["next"] = next;
		try {
			return next(true, this.root);
		} catch (error) {
			if (this.options.errorHandler) return this.options.errorHandler(error, currentContext);
			throw error;
		}
	}
};
// src/api/client.ts
var requestTimeout = 15e3;
/** An error that the server returned, with its code. */
var Refused = class extends Error {
	code;
	field;
	messageId;
	/** After how many seconds to repeat the request, if Waypost is overloaded. */
	retryAfter;
	constructor({ message, extensions = {} }) {
		super(message);
		this.code = extensions.code ?? "INTERNAL";
		this.field = extensions.field ?? null;
		this.messageId = extensions.messageId ?? null;
		this.retryAfter = extensions.retryAfter ?? null;
	}
};
/** Reports whether the server rejected a request permanently, so that repeating it is of no use. */
var rejected = (error) => error instanceof Refused && [
	"FORBIDDEN",
	"INVALID_INPUT",
	"NOT_FOUND"
].includes(error.code);
/** There was no response, so it is unknown whether a mutation was carried out. */
var ServerAway = class extends Error {};
/** Returns the text to show for a thrown value. An error about a field names it. */
function messageOf(error) {
	if (!(error instanceof Error)) return String(error);
	const field = error instanceof Refused ? error.field?.split(".").at(-1)?.replace(/\[\d+\]/g, "") : null;
	if (!field || error.message.toLowerCase().includes(field.toLowerCase())) return error.message;
	return `${field.replace(/([A-Z])/g, " $1").replace(/^./, (c) => c.toUpperCase())}: ${error.message}`;
}
var key = null;
var currentKey = () => key;
function useKey(next) {
	key = next;
}
/** The header or the connection parameter that identifies the caller. */
var authorization = () => key === null ? {} : { authorization: `Bearer ${key}` };
async function ask(operation, variables, signal) {
	const timeout = AbortSignal.timeout(requestTimeout);
	let response;
	let text;
	try {
		response = await fetch("graphql", {
			method: "POST",
			headers: {
				"content-type": "application/json",
				accept: "application/json",
				...authorization()
			},
			body: JSON.stringify({
				query: String(operation),
				variables
			}),
			signal: signal ? AbortSignal.any([signal, timeout]) : timeout
		});
		sawServerTime(response.headers.get("date") ?? "");
		text = await response.text();
	} catch (cause) {
		if (signal?.aborted) throw cause;
		throw new ServerAway("The server does not respond.", { cause });
	}
	const answer = parsed(text);
	const error = answer?.errors?.[0];
	if (error) throw new Refused(error);
	if (response.status === 401) throw new Refused({
		message: "The key is not valid.",
		extensions: { code: "UNAUTHENTICATED" }
	});
	if (!response.ok || !answer?.data) throw new ServerAway(`The server responded with status ${response.status}.`);
	return answer.data;
}
function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
var offset = null;
function sawServerTime(at) {
	const seen = Date.parse(at) - Date.now();
	if (Number.isFinite(seen) && (offset === null || seen > offset)) offset = seen;
}
var serverNow = () => Date.now() + (offset ?? 0);
// src/api/operations.ts
var TypedDocumentString = class extends String {
	__apiType;
	value;
	__meta__;
	constructor(value, __meta__) {
		super(value);
		this.value = value;
		this.__meta__ = __meta__;
	}
	toString() {
		return this.value;
	}
};
var ApiKeys = /*#__PURE__*/ new TypedDocumentString(`
    query ApiKeys($includeRevoked: Boolean!) {
  apiKeys(includeRevoked: $includeRevoked) {
    ...ApiKeyRow
  }
}
    fragment ApiKeyRow on ApiKey {
  id
  name
  scopes
  senderIds
  createdAt
  createdBy {
    kind
    id
    name
  }
  expiresAt
  lastUsedAt
  revokedAt
}`);
var CreateApiKey = /*#__PURE__*/ new TypedDocumentString(`
    mutation CreateApiKey($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    secret
    apiKey {
      ...ApiKeyRow
    }
  }
}
    fragment ApiKeyRow on ApiKey {
  id
  name
  scopes
  senderIds
  createdAt
  createdBy {
    kind
    id
    name
  }
  expiresAt
  lastUsedAt
  revokedAt
}`);
var RevokeApiKey = /*#__PURE__*/ new TypedDocumentString(`
    mutation RevokeApiKey($id: ID!) {
  revokeApiKey(id: $id) {
    ...ApiKeyRow
  }
}
    fragment ApiKeyRow on ApiKey {
  id
  name
  scopes
  senderIds
  createdAt
  createdBy {
    kind
    id
    name
  }
  expiresAt
  lastUsedAt
  revokedAt
}`);
var Erase = /*#__PURE__*/ new TypedDocumentString(`
    mutation Erase($to: String, $toUserId: String, $reason: String!) {
  eraseRecipient(to: $to, toUserId: $toUserId, reason: $reason) {
    id
    at
    messages
    events
  }
}
    `);
var Silences = /*#__PURE__*/ new TypedDocumentString(`
    query Silences {
  silences {
    ...SilenceNow
  }
}
    fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var SilenceAlerts = /*#__PURE__*/ new TypedDocumentString(`
    mutation SilenceAlerts($input: SilenceAlertsInput!) {
  silenceAlerts(input: $input) {
    ...SilenceNow
  }
}
    fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var EndSilence = /*#__PURE__*/ new TypedDocumentString(`
    mutation EndSilence($id: ID!) {
  endSilence(id: $id) {
    ...SilenceNow
  }
}
    fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var Alerts = /*#__PURE__*/ new TypedDocumentString(`
    query Alerts($filter: AlertFilter, $first: Int!, $after: String) {
  alerts(filter: $filter, first: $first, after: $after) {
    edges {
      cursor
      at
      node {
        ...AlertNow
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment AlertNow on Alert {
  id
  kind
  severity
  state
  summary
  value
  threshold
  raisedAt
  acknowledgedAt
  acknowledgedBy {
    kind
    id
    name
  }
  note
  explanation
  resolvedAt
  sender {
    id
    name
  }
  current {
    value
    summary
    at
  }
  silence {
    ...SilenceNow
  }
}
fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var AlertTransitions = /*#__PURE__*/ new TypedDocumentString(`
    subscription AlertTransitions($after: String) {
  alerts(after: $after) {
    cursor
    at
    node {
      ...AlertNow
    }
  }
}
    fragment AlertNow on Alert {
  id
  kind
  severity
  state
  summary
  value
  threshold
  raisedAt
  acknowledgedAt
  acknowledgedBy {
    kind
    id
    name
  }
  note
  explanation
  resolvedAt
  sender {
    id
    name
  }
  current {
    value
    summary
    at
  }
  silence {
    ...SilenceNow
  }
}
fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var Acknowledge = /*#__PURE__*/ new TypedDocumentString(`
    mutation Acknowledge($id: ID!, $note: String) {
  acknowledgeAlert(id: $id, note: $note) {
    ...AlertNow
  }
}
    fragment AlertNow on Alert {
  id
  kind
  severity
  state
  summary
  value
  threshold
  raisedAt
  acknowledgedAt
  acknowledgedBy {
    kind
    id
    name
  }
  note
  explanation
  resolvedAt
  sender {
    id
    name
  }
  current {
    value
    summary
    at
  }
  silence {
    ...SilenceNow
  }
}
fragment SilenceNow on AlertSilence {
  id
  kind
  reason
  by {
    kind
    id
    name
    onBehalfOf
  }
  startedAt
  until
  sender {
    id
    name
  }
}`);
var AlertRules = /*#__PURE__*/ new TypedDocumentString(`
    query AlertRules {
  alertRules {
    ...Rule
  }
}
    fragment Rule on AlertRule {
  id
  kind
  senderId
  enabled
  threshold
  statistic
  window
  for
  minimumVolume
  severity
}`);
var SetRule = /*#__PURE__*/ new TypedDocumentString(`
    mutation SetRule($input: AlertRuleInput!) {
  setAlertRule(input: $input) {
    ...Rule
  }
}
    fragment Rule on AlertRule {
  id
  kind
  senderId
  enabled
  threshold
  statistic
  window
  for
  minimumVolume
  severity
}`);
var Conversations = /*#__PURE__*/ new TypedDocumentString(`
    query Conversations($filter: ConversationFilter, $first: Int!, $after: String) {
  conversations(filter: $filter, first: $first, after: $after) {
    edges {
      cursor
      node {
        ...ConversationRow
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment ConversationRow on Conversation {
  senderId
  to
  toUserId
  name
  lastInboundAt
  windowOpenUntil
  optedOut
  optedOutSince
  optOutSource
}`);
var OneConversation = /*#__PURE__*/ new TypedDocumentString(`
    query OneConversation($senderId: ID!, $to: String, $toUserId: String, $first: Int!, $after: String) {
  conversation(senderId: $senderId, to: $to, toUserId: $toUserId) {
    ...ConversationRow
    lastOutboundAt
    freeUntil
    messages(first: $first, after: $after) {
      edges {
        cursor
        node {
          at
          outbound {
            id
            type
            status
            content
            erasedAt
          }
          inbound {
            id
            type
            content
            hasMedia
            erasedAt
          }
          echo {
            type
            standby
            raw
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    fragment ConversationRow on Conversation {
  senderId
  to
  toUserId
  name
  lastInboundAt
  windowOpenUntil
  optedOut
  optedOutSince
  optOutSource
}`);
var InboundArrivals = /*#__PURE__*/ new TypedDocumentString(`
    subscription InboundArrivals($senderId: ID!, $after: String) {
  inboundMessages(senderId: $senderId, after: $after) {
    cursor
    node {
      id
    }
  }
}
    `);
var SomeMessageUpdates = /*#__PURE__*/ new TypedDocumentString(`
    subscription SomeMessageUpdates($ids: [ID!]!, $after: String) {
  messageUpdates(ids: $ids, after: $after) {
    cursor
    at
    message {
      id
      status
    }
  }
}
    `);
var SetOptOut = /*#__PURE__*/ new TypedDocumentString(`
    mutation SetOptOut($senderId: ID!, $to: String, $toUserId: String, $optedOut: Boolean!, $reason: String!) {
  setOptOut(
    senderId: $senderId
    to: $to
    toUserId: $toUserId
    optedOut: $optedOut
    reason: $reason
  ) {
    optedOut
    optedOutSince
    optOutSource
  }
}
    `);
var Hooks = /*#__PURE__*/ new TypedDocumentString(`
    query Hooks {
  outgoingWebhooks {
    ...Hook
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var HookDeliveries = /*#__PURE__*/ new TypedDocumentString(`
    query HookDeliveries($after: String, $failed: Boolean!) {
  outgoingWebhooks {
    ...Hook
    deliveries(first: 50, after: $after, failed: $failed) {
      edges {
        node {
          eventId
          eventType
          messageId
          attempt
          at
          took
          status
          error
          outcome
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var CreateHook = /*#__PURE__*/ new TypedDocumentString(`
    mutation CreateHook($input: OutgoingWebhookInput!) {
  createOutgoingWebhook(input: $input) {
    secret
    outgoingWebhook {
      ...Hook
    }
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var UpdateHook = /*#__PURE__*/ new TypedDocumentString(`
    mutation UpdateHook($id: ID!, $input: OutgoingWebhookInput!) {
  updateOutgoingWebhook(id: $id, input: $input) {
    ...Hook
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var RotateHookSecret = /*#__PURE__*/ new TypedDocumentString(`
    mutation RotateHookSecret($id: ID!) {
  rotateOutgoingWebhookSecret(id: $id) {
    secret
    outgoingWebhook {
      ...Hook
    }
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var DisableHook = /*#__PURE__*/ new TypedDocumentString(`
    mutation DisableHook($id: ID!, $reason: String) {
  disableOutgoingWebhook(id: $id, reason: $reason) {
    ...Hook
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var EnableHook = /*#__PURE__*/ new TypedDocumentString(`
    mutation EnableHook($id: ID!) {
  enableOutgoingWebhook(id: $id) {
    ...Hook
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var RemoveHook = /*#__PURE__*/ new TypedDocumentString(`
    mutation RemoveHook($id: ID!) {
  removeOutgoingWebhook(id: $id) {
    ...Hook
  }
}
    fragment Hook on OutgoingWebhook {
  id
  url
  eventTypes
  senderIds
  personal
  createdAt
  disabledAt
  disabledReason
}`);
var Messages = /*#__PURE__*/ new TypedDocumentString(`
    query Messages($filter: MessageFilter, $first: Int!, $after: String) {
  messages(filter: $filter, first: $first, after: $after) {
    edges {
      cursor
      node {
        ...MessageRow
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment MessageRow on Message {
  id
  to
  toUserId
  type
  status
  priority
  attempts
  cursor
  queuedAt
  sentAt
  overdueSince
  sender {
    id
  }
  failure {
    code
    category
  }
}`);
var CampaignPauses = /*#__PURE__*/ new TypedDocumentString(`
    query CampaignPauses($label: LabelInput) {
  campaignPauses(label: $label) {
    ...CampaignPauseNow
  }
}
    fragment CampaignPauseNow on CampaignPause {
  id
  label {
    name
    value
  }
  reason
  since
  by {
    kind
    id
    name
    onBehalfOf
  }
}`);
var PauseCampaign = /*#__PURE__*/ new TypedDocumentString(`
    mutation PauseCampaign($input: PauseCampaignInput!) {
  pauseCampaign(input: $input) {
    ...CampaignPauseNow
  }
}
    fragment CampaignPauseNow on CampaignPause {
  id
  label {
    name
    value
  }
  reason
  since
  by {
    kind
    id
    name
    onBehalfOf
  }
}`);
var ResumeCampaign = /*#__PURE__*/ new TypedDocumentString(`
    mutation ResumeCampaign($label: LabelInput!) {
  resumeCampaign(label: $label) {
    id
  }
}
    `);
var MessageCounts = /*#__PURE__*/ new TypedDocumentString(`
    query MessageCounts($filter: MessageFilter) {
  messageCounts(filter: $filter) {
    status
    count
  }
}
    `);
var MessageUpdates = /*#__PURE__*/ new TypedDocumentString(`
    subscription MessageUpdates($senderId: ID, $statuses: [MessageStatus!], $after: String) {
  messageUpdates(senderId: $senderId, statuses: $statuses, after: $after) {
    cursor
    at
    message {
      ...MessageRow
    }
  }
}
    fragment MessageRow on Message {
  id
  to
  toUserId
  type
  status
  priority
  attempts
  cursor
  queuedAt
  sentAt
  overdueSince
  sender {
    id
  }
  failure {
    code
    category
  }
}`);
var OneMessage = /*#__PURE__*/ new TypedDocumentString(`
    query OneMessage($id: ID!, $audit: Boolean!) {
  message(id: $id) {
    id
    idempotencyKey
    to
    toUserId
    type
    status
    priority
    attempts
    calls
    statusReason
    sentTwice
    heldForQuality
    cursor
    onAmbiguous
    replyTo
    whatsappId
    content
    queuedAt
    sendAt
    expiresAt
    sentAt
    deliveredAt
    readAt
    overdueSince
    retryAt
    erasedAt
    sender {
      id
      name
    }
    labels {
      name
      value
    }
    pauses {
      ...CampaignPauseNow
    }
    failure {
      ...Failure
    }
    attemptLog {
      call
      startedAt
      endedAt
      outcome
      settledBy
      whatsappId
      failure {
        ...Failure
      }
    }
    history(first: 200) @include(if: $audit) {
      edges {
        node {
          ...LoggedEvent
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    fragment Failure on MessageFailure {
  code
  category
  class
  message
  details
  httpStatus
  advice
  fbtraceId
  at
}
fragment CampaignPauseNow on CampaignPause {
  id
  label {
    name
    value
  }
  reason
  since
  by {
    kind
    id
    name
    onBehalfOf
  }
}
fragment LoggedEvent on Event {
  id
  type
  stream
  revision
  recordedAt
  occurredAt
  data
  correlationId
  by {
    kind
    id
    name
    onBehalfOf
  }
}`);
var OneMessageUpdates = /*#__PURE__*/ new TypedDocumentString(`
    subscription OneMessageUpdates($id: ID!, $after: String) {
  messageUpdates(ids: [$id], after: $after) {
    cursor
    at
    message {
      id
      status
    }
  }
}
    `);
var Queue = /*#__PURE__*/ new TypedDocumentString(`
    mutation Queue($input: QueueMessageInput!) {
  queueMessage(input: $input) {
    replayed
    message {
      id
    }
  }
}
    `);
var Cancel = /*#__PURE__*/ new TypedDocumentString(`
    mutation Cancel($id: ID!, $reason: String) {
  cancelMessage(id: $id, reason: $reason) {
    id
    status
  }
}
    `);
var DeadLetters = /*#__PURE__*/ new TypedDocumentString(`
    query DeadLetters($filter: DeadLetterFilter, $first: Int!, $after: String) {
  deadLetters(filter: $filter, first: $first, after: $after) {
    totalCount
    byCategory {
      category
      count
    }
    edges {
      cursor
      node {
        at
        attempts
        message {
          id
          to
          toUserId
          type
          queuedAt
          sender {
            id
          }
        }
        failure {
          ...Failure
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment Failure on MessageFailure {
  code
  category
  class
  message
  details
  httpStatus
  advice
  fbtraceId
  at
}`);
var Requeue = /*#__PURE__*/ new TypedDocumentString(`
    mutation Requeue($input: DeadLetterSelection!, $dryRun: Boolean!) {
  requeueDeadLetters(input: $input, dryRun: $dryRun) {
    ...Progress
  }
}
    fragment Progress on Operation {
  id
  state
  selected
  done
  refusedCount
  refused {
    messageId
    code
    message
  }
}`);
var Discard = /*#__PURE__*/ new TypedDocumentString(`
    mutation Discard($input: DeadLetterSelection!, $reason: String!, $dryRun: Boolean!) {
  discardDeadLetters(input: $input, reason: $reason, dryRun: $dryRun) {
    ...Progress
  }
}
    fragment Progress on Operation {
  id
  state
  selected
  done
  refusedCount
  refused {
    messageId
    code
    message
  }
}`);
var CancelMany = /*#__PURE__*/ new TypedDocumentString(`
    mutation CancelMany($input: MessageSelection!, $reason: String!, $dryRun: Boolean!) {
  cancelMessages(input: $input, reason: $reason, dryRun: $dryRun) {
    ...Progress
  }
}
    fragment Progress on Operation {
  id
  state
  selected
  done
  refusedCount
  refused {
    messageId
    code
    message
  }
}`);
var LiveMetrics = /*#__PURE__*/ new TypedDocumentString(`
    subscription LiveMetrics($senderId: ID, $window: Duration!, $every: Duration!) {
  metrics(senderId: $senderId, window: $window, every: $every) {
    at
    sent
    delivered
    failed
    deadLettered
    retried
    throttled
    ambiguous
    sentPerMinute
    deliveryRate
    errorRate
    averageDeliveryLatency
    p95DeliveryLatency
    queueDepth
    oldestDueAge
    errorsByType {
      class
      category
      code
      count
      rate
    }
  }
}
    `);
var Series = /*#__PURE__*/ new TypedDocumentString(`
    query Series($senderId: ID, $from: Time!, $to: Time!, $step: Duration!) {
  metricSeries(senderId: $senderId, from: $from, to: $to, step: $step) {
    at
    metrics {
      queued
      sent
      delivered
      failed
      deadLettered
      averageDeliveryLatency
      p50DeliveryLatency
      p95DeliveryLatency
      p99DeliveryLatency
    }
  }
}
    `);
var Range = /*#__PURE__*/ new TypedDocumentString(`
    query Range($senderId: ID, $from: Time!, $to: Time!, $length: Duration!) {
  metricSeries(senderId: $senderId, from: $from, to: $to, step: $length) {
    metrics {
      queued
      sent
      delivered
      read
      failed
      deadLettered
      retried
      throttled
      ambiguous
      deliveryRate
      errorRate
      p50DeliveryLatency
      p95DeliveryLatency
    }
  }
}
    `);
var Pause = /*#__PURE__*/ new TypedDocumentString(`
    mutation Pause($id: ID!, $reason: String!, $priorities: [Priority!]) {
  pauseSender(id: $id, reason: $reason, priorities: $priorities) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var Resume = /*#__PURE__*/ new TypedDocumentString(`
    mutation Resume($id: ID!) {
  resumeSender(id: $id) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var ResumeLanes = /*#__PURE__*/ new TypedDocumentString(`
    mutation ResumeLanes($id: ID!, $priorities: [Priority!]!) {
  resumeLanes(id: $id, priorities: $priorities) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var SetRate = /*#__PURE__*/ new TypedDocumentString(`
    mutation SetRate($id: ID!, $messagesPerSecond: Int!) {
  setSenderRate(id: $id, messagesPerSecond: $messagesPerSecond) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var UpdateSender = /*#__PURE__*/ new TypedDocumentString(`
    mutation UpdateSender($input: UpdateSenderInput!) {
  updateSender(input: $input) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var RegisterSender = /*#__PURE__*/ new TypedDocumentString(`
    mutation RegisterSender($input: RegisterSenderInput!) {
  registerSender(input: $input) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var LiftRestrictions = /*#__PURE__*/ new TypedDocumentString(`
    mutation LiftRestrictions($id: ID!, $reason: String!) {
  liftRestrictions(id: $id, reason: $reason) {
    ...SenderNow
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var Viewer = /*#__PURE__*/ new TypedDocumentString(`
    query Viewer {
  viewer {
    keyId
    name
    kind
    expiresAt
    scopes
    senderIds
  }
}
    `);
var Pulse = /*#__PURE__*/ new TypedDocumentString(`
    query Pulse {
  senders {
    ...SenderNow
  }
  readModel {
    behind
  }
  deadLetters(first: 1) {
    totalCount
  }
}
    fragment SenderNow on Sender {
  id
  name
  phoneNumberId
  displayPhoneNumber
  businessAccountId
  messagesPerSecond
  effectiveRate
  throttledUntil
  state
  stateReason
  pausedPriorities
  pauseReason
  pauses {
    priority
    reason
    since
    by {
      kind
      id
      name
      onBehalfOf
    }
  }
  hold {
    code
    category
    message
    since
    nextProbeAt
    advice
  }
  breaker {
    since
    failures
    nextProbeAt
    lastFailure
  }
  queueDepth
  scheduled
  oldestDueAge
  drainPerMinute
  emptyIn
  lanes {
    priority
    depth
    oldestDueAge
  }
  quality
  throughput
  messagingLimit {
    limit
    used
    resetsAt
  }
  restrictions {
    type
    holds
    since
    until
    reason
  }
}`);
var Position = /*#__PURE__*/ new TypedDocumentString(`
    query Position {
  readModel {
    position
  }
}
    `);
var Ledger = /*#__PURE__*/ new TypedDocumentString(`
    query Ledger($senderId: ID, $asOf: Time) {
  ledger(senderId: $senderId, asOf: $asOf) {
    accepted
    open
    ambiguous
    sent
    delivered
    read
    failed
    deadLettered
    cancelled
    expired
    discarded
    suppressed
    sentTwice
    overdue
    balanced
    asOf
  }
}
    `);
var Log = /*#__PURE__*/ new TypedDocumentString(`
    query Log($filter: EventFilter, $first: Int!, $after: String) {
  events(filter: $filter, order: NEWEST_FIRST, first: $first, after: $after) {
    edges {
      cursor
      node {
        ...LoggedEvent
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment LoggedEvent on Event {
  id
  type
  stream
  revision
  recordedAt
  occurredAt
  data
  correlationId
  by {
    kind
    id
    name
    onBehalfOf
  }
}`);
var RunningOperations = /*#__PURE__*/ new TypedDocumentString(`
    query RunningOperations {
  operations {
    kind
    startedBy {
      kind
      id
      name
      onBehalfOf
    }
    ...Progress
  }
}
    fragment Progress on Operation {
  id
  state
  selected
  done
  refusedCount
  refused {
    messageId
    code
    message
  }
}`);
var OperationProgress = /*#__PURE__*/ new TypedDocumentString(`
    query OperationProgress($id: ID!) {
  operation(id: $id) {
    ...Progress
  }
}
    fragment Progress on Operation {
  id
  state
  selected
  done
  refusedCount
  refused {
    messageId
    code
    message
  }
}`);
var Templates = /*#__PURE__*/ new TypedDocumentString(`
    query Templates($filter: TemplateFilter, $first: Int!, $after: String) {
  templates(filter: $filter, first: $first, after: $after) {
    edges {
      cursor
      node {
        ...TemplateRow
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment TemplateRow on Template {
  businessAccountId
  name
  language
  status
  statusDetail
  sending
  category
  announcedCategory
  quality
  queued
}`);
var OneTemplate = /*#__PURE__*/ new TypedDocumentString(`
    query OneTemplate($account: ID!, $name: String!, $language: String!) {
  template(businessAccountId: $account, name: $name, language: $language) {
    ...TemplateRow
    whatsappId
    statusAt
    statusReason
    previousCategory
    categoryChangedAt
    announcedFor
    correctCategory
    parameterFormat
    timeToLive
    components
    listedAt
  }
}
    fragment TemplateRow on Template {
  businessAccountId
  name
  language
  status
  statusDetail
  sending
  category
  announcedCategory
  quality
  queued
}`);
var TemplateChoices = /*#__PURE__*/ new TypedDocumentString(`
    query TemplateChoices($account: ID!) {
  templates(filter: {businessAccountId: $account}, first: 200) {
    edges {
      node {
        name
        language
        status
        sending
        parameterFormat
        components
      }
    }
  }
}
    `);
var SyncTemplates = /*#__PURE__*/ new TypedDocumentString(`
    mutation SyncTemplates($account: ID!) {
  syncTemplates(businessAccountId: $account) {
    count
    changed
    removed
  }
}
    `);
/** The scopes that the caller's key must have for each operation. */
var scopes$1 = /* @__PURE__ */ new Map([
	[ApiKeys, ["ADMIN"]],
	[CreateApiKey, ["ADMIN"]],
	[RevokeApiKey, ["ADMIN"]],
	[Erase, ["ADMIN"]],
	[Silences, ["READ"]],
	[SilenceAlerts, ["OPERATE"]],
	[EndSilence, ["OPERATE"]],
	[Alerts, ["READ"]],
	[AlertTransitions, ["READ"]],
	[Acknowledge, ["OPERATE"]],
	[AlertRules, ["READ"]],
	[SetRule, ["OPERATE"]],
	[Conversations, ["READ"]],
	[OneConversation, ["PERSONAL"]],
	[InboundArrivals, ["READ"]],
	[SomeMessageUpdates, ["READ"]],
	[SetOptOut, ["SEND"]],
	[Hooks, ["OPERATE"]],
	[HookDeliveries, ["OPERATE"]],
	[CreateHook, ["ADMIN"]],
	[UpdateHook, ["ADMIN"]],
	[RotateHookSecret, ["ADMIN"]],
	[DisableHook, ["OPERATE"]],
	[EnableHook, ["OPERATE"]],
	[RemoveHook, ["ADMIN"]],
	[Messages, ["READ"]],
	[CampaignPauses, ["READ"]],
	[PauseCampaign, ["OPERATE"]],
	[ResumeCampaign, ["OPERATE"]],
	[MessageCounts, ["READ"]],
	[MessageUpdates, ["READ"]],
	[OneMessage, ["READ"]],
	[OneMessageUpdates, ["READ"]],
	[Queue, ["SEND"]],
	[Cancel, ["SEND"]],
	[DeadLetters, ["READ"]],
	[Requeue, ["OPERATE"]],
	[Discard, ["OPERATE"]],
	[CancelMany, ["OPERATE"]],
	[LiveMetrics, ["READ"]],
	[Series, ["READ"]],
	[Range, ["READ"]],
	[Pause, ["OPERATE"]],
	[Resume, ["OPERATE"]],
	[ResumeLanes, ["OPERATE"]],
	[SetRate, ["OPERATE"]],
	[UpdateSender, ["OPERATE"]],
	[RegisterSender, ["OPERATE"]],
	[LiftRestrictions, ["OPERATE"]],
	[Viewer, []],
	[Pulse, ["READ"]],
	[Position, ["READ"]],
	[Ledger, ["AUDIT"]],
	[Log, ["AUDIT"]],
	[RunningOperations, ["OPERATE"]],
	[OperationProgress, ["OPERATE"]],
	[Templates, ["READ"]],
	[OneTemplate, ["READ"]],
	[TemplateChoices, ["READ"]],
	[SyncTemplates, ["OPERATE"]]
]);
// node_modules/graphql-ws/dist/common-CGW11Fyb.js
function extendedTypeof(val) {
	if (val === null) return "null";
	if (Array.isArray(val)) return "array";
	return typeof val;
}
function isObject(val) {
	return extendedTypeof(val) === "object";
}
function areGraphQLFormattedErrors(obj) {
	return Array.isArray(obj) && obj.length > 0 && obj.every((ob) => "message" in ob);
}
function limitCloseReason(reason, whenTooLong) {
	return reason.length < 124 ? reason : whenTooLong;
}
var CloseCode = /* @__PURE__ */ ((CloseCode2) => {
	CloseCode2[CloseCode2["InternalServerError"] = 4500] = "InternalServerError";
	CloseCode2[CloseCode2["InternalClientError"] = 4005] = "InternalClientError";
	CloseCode2[CloseCode2["BadRequest"] = 4400] = "BadRequest";
	CloseCode2[CloseCode2["BadResponse"] = 4004] = "BadResponse";
	CloseCode2[CloseCode2["Unauthorized"] = 4401] = "Unauthorized";
	CloseCode2[CloseCode2["Forbidden"] = 4403] = "Forbidden";
	CloseCode2[CloseCode2["SubprotocolNotAcceptable"] = 4406] = "SubprotocolNotAcceptable";
	CloseCode2[CloseCode2["ConnectionInitialisationTimeout"] = 4408] = "ConnectionInitialisationTimeout";
	CloseCode2[CloseCode2["ConnectionAcknowledgementTimeout"] = 4504] = "ConnectionAcknowledgementTimeout";
	CloseCode2[CloseCode2["SubscriberAlreadyExists"] = 4409] = "SubscriberAlreadyExists";
	CloseCode2[CloseCode2["TooManyInitialisationRequests"] = 4429] = "TooManyInitialisationRequests";
	return CloseCode2;
})(CloseCode || {});
var MessageType = /* @__PURE__ */ ((MessageType2) => {
	MessageType2["ConnectionInit"] = "connection_init";
	MessageType2["ConnectionAck"] = "connection_ack";
	MessageType2["Ping"] = "ping";
	MessageType2["Pong"] = "pong";
	MessageType2["Subscribe"] = "subscribe";
	MessageType2["Next"] = "next";
	MessageType2["Error"] = "error";
	MessageType2["Complete"] = "complete";
	return MessageType2;
})(MessageType || {});
function validateMessage(val) {
	if (!isObject(val)) throw new Error(`Message is expected to be an object, but got ${extendedTypeof(val)}`);
	if (!val.type) throw new Error(`Message is missing the 'type' property`);
	if (typeof val.type !== "string") throw new Error(`Message is expects the 'type' property to be a string, but got ${extendedTypeof(val.type)}`);
	switch (val.type) {
		case "connection_init":
		case "connection_ack":
		case "ping":
		case "pong":
			if (val.payload != null && !isObject(val.payload)) throw new Error(`"${val.type}" message expects the 'payload' property to be an object or nullish or missing, but got "${val.payload}"`);
			break;
		case "subscribe":
			if (typeof val.id !== "string") throw new Error(`"${val.type}" message expects the 'id' property to be a string, but got ${extendedTypeof(val.id)}`);
			if (!val.id) throw new Error(`"${val.type}" message requires a non-empty 'id' property`);
			if (!isObject(val.payload)) throw new Error(`"${val.type}" message expects the 'payload' property to be an object, but got ${extendedTypeof(val.payload)}`);
			if (typeof val.payload.query !== "string") throw new Error(`"${val.type}" message payload expects the 'query' property to be a string, but got ${extendedTypeof(val.payload.query)}`);
			if (val.payload.variables != null && !isObject(val.payload.variables)) throw new Error(`"${val.type}" message payload expects the 'variables' property to be a an object or nullish or missing, but got ${extendedTypeof(val.payload.variables)}`);
			if (val.payload.operationName != null && extendedTypeof(val.payload.operationName) !== "string") throw new Error(`"${val.type}" message payload expects the 'operationName' property to be a string or nullish or missing, but got ${extendedTypeof(val.payload.operationName)}`);
			if (val.payload.extensions != null && !isObject(val.payload.extensions)) throw new Error(`"${val.type}" message payload expects the 'extensions' property to be a an object or nullish or missing, but got ${extendedTypeof(val.payload.extensions)}`);
			break;
		case "next":
			if (typeof val.id !== "string") throw new Error(`"${val.type}" message expects the 'id' property to be a string, but got ${extendedTypeof(val.id)}`);
			if (!val.id) throw new Error(`"${val.type}" message requires a non-empty 'id' property`);
			if (!isObject(val.payload)) throw new Error(`"${val.type}" message expects the 'payload' property to be an object, but got ${extendedTypeof(val.payload)}`);
			break;
		case "error":
			if (typeof val.id !== "string") throw new Error(`"${val.type}" message expects the 'id' property to be a string, but got ${extendedTypeof(val.id)}`);
			if (!val.id) throw new Error(`"${val.type}" message requires a non-empty 'id' property`);
			if (!areGraphQLFormattedErrors(val.payload)) throw new Error(`"${val.type}" message expects the 'payload' property to be an array of GraphQL errors, but got ${JSON.stringify(val.payload)}`);
			break;
		case "complete":
			if (typeof val.id !== "string") throw new Error(`"${val.type}" message expects the 'id' property to be a string, but got ${extendedTypeof(val.id)}`);
			if (!val.id) throw new Error(`"${val.type}" message requires a non-empty 'id' property`);
			break;
		default: throw new Error(`Invalid message 'type' property "${val.type}"`);
	}
	return val;
}
function parseMessage(data, reviver) {
	return validateMessage(typeof data === "string" ? JSON.parse(data, reviver) : data);
}
function stringifyMessage(msg, replacer) {
	validateMessage(msg);
	return JSON.stringify(msg, replacer);
}
// node_modules/graphql-ws/dist/client.js
function createClient(options) {
	const { url, connectionParams, lazy = true, onNonLazyError = console.error, lazyCloseTimeout: lazyCloseTimeoutMs = 0, keepAlive = 0, disablePong, connectionAckWaitTimeout = 0, retryAttempts = 5, retryWait = async function randomisedExponentialBackoff(retries2) {
		const retryDelaySeconds = Math.pow(2, retries2);
		await new Promise((resolve) => setTimeout(resolve, retryDelaySeconds * 1e3 + Math.floor(Math.random() * 2700 + 300)));
	}, shouldRetry = isLikeCloseEvent, on, webSocketImpl, generateID = function generateUUID() {
		return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (c) => {
			const r = Math.random() * 16 | 0;
			return (c == "x" ? r : r & 3 | 8).toString(16);
		});
	}, jsonMessageReplacer: replacer, jsonMessageReviver: reviver } = options;
	let ws;
	if (webSocketImpl) {
		if (!isWebSocket(webSocketImpl)) throw new Error("Invalid WebSocket implementation provided");
		ws = webSocketImpl;
	} else if (typeof WebSocket !== "undefined") ws = WebSocket;
	else if (typeof global !== "undefined") ws = global.WebSocket || global.MozWebSocket;
	else if (typeof window !== "undefined") ws = window.WebSocket || window.MozWebSocket;
	if (!ws) throw new Error("WebSocket implementation missing; on Node you can `import WebSocket from 'ws';` and pass `webSocketImpl: WebSocket` to `createClient`");
	const WebSocketImpl = ws;
	const emitter = (() => {
		const message = /* @__PURE__ */ (() => {
			const listeners2 = {};
			return {
				on(id, listener) {
					listeners2[id] = listener;
					return () => {
						delete listeners2[id];
					};
				},
				emit(message2) {
					if ("id" in message2) listeners2[message2.id]?.(message2);
				}
			};
		})();
		const listeners = {
			connecting: on?.connecting ? [on.connecting] : [],
			opened: on?.opened ? [on.opened] : [],
			connected: on?.connected ? [on.connected] : [],
			ping: on?.ping ? [on.ping] : [],
			pong: on?.pong ? [on.pong] : [],
			message: on?.message ? [message.emit, on.message] : [message.emit],
			closed: on?.closed ? [on.closed] : [],
			error: on?.error ? [on.error] : []
		};
		return {
			onMessage: message.on,
			on(event, listener) {
				const l = listeners[event];
				l.push(listener);
				return () => {
					const i = l.indexOf(listener);
					if (i > -1) l.splice(i, 1);
				};
			},
			emit(event, ...args) {
				for (const listener of [...listeners[event]]) listener(...args);
			}
		};
	})();
	function errorOrClosed(cb) {
		const listening = [emitter.on("error", (err) => {
			listening.forEach((unlisten) => unlisten());
			cb(err);
		}), emitter.on("closed", (event) => {
			listening.forEach((unlisten) => unlisten());
			cb(event);
		})];
		return () => listening.forEach((unlisten) => unlisten());
	}
	let connecting, locks = 0, lazyCloseTimeout, retrying = false, retries = 0, disposed = false;
	async function connect() {
		clearTimeout(lazyCloseTimeout);
		const [socket, throwOnClose] = await (connecting ?? (connecting = new Promise((connected, denied) => (async () => {
			if (retrying) {
				await retryWait(retries);
				if (!locks) {
					connecting = void 0;
					return denied({
						code: 1e3,
						reason: "All Subscriptions Gone"
					});
				}
				retries++;
			}
			emitter.emit("connecting", retrying);
			const socket2 = new WebSocketImpl(typeof url === "function" ? await url() : url, "graphql-transport-ws");
			let connectionAckTimeout, queuedPing;
			function enqueuePing() {
				if (isFinite(keepAlive) && keepAlive > 0) {
					clearTimeout(queuedPing);
					queuedPing = setTimeout(() => {
						if (socket2.readyState === WebSocketImpl.OPEN) {
							socket2.send(stringifyMessage({ type: MessageType.Ping }));
							emitter.emit("ping", false, void 0);
						}
					}, keepAlive);
				}
			}
			errorOrClosed((errOrEvent) => {
				connecting = void 0;
				clearTimeout(connectionAckTimeout);
				clearTimeout(queuedPing);
				denied(errOrEvent);
				if (errOrEvent instanceof TerminatedCloseEvent) {
					socket2.close(4499, "Terminated");
					socket2.onerror = null;
					socket2.onclose = null;
				}
			});
			socket2.onerror = (err) => emitter.emit("error", err);
			socket2.onclose = (event) => emitter.emit("closed", event);
			socket2.onopen = async () => {
				try {
					emitter.emit("opened", socket2);
					const payload = typeof connectionParams === "function" ? await connectionParams() : connectionParams;
					if (socket2.readyState !== WebSocketImpl.OPEN) return;
					socket2.send(stringifyMessage(payload ? {
						type: MessageType.ConnectionInit,
						payload
					} : { type: MessageType.ConnectionInit }, replacer));
					if (isFinite(connectionAckWaitTimeout) && connectionAckWaitTimeout > 0) connectionAckTimeout = setTimeout(() => {
						socket2.close(CloseCode.ConnectionAcknowledgementTimeout, "Connection acknowledgement timeout");
					}, connectionAckWaitTimeout);
					enqueuePing();
				} catch (err) {
					emitter.emit("error", err);
					socket2.close(CloseCode.InternalClientError, limitCloseReason(err instanceof Error ? err.message : String(err), "Internal client error"));
				}
			};
			let acknowledged = false;
			socket2.onmessage = ({ data }) => {
				try {
					const message = parseMessage(data, reviver);
					emitter.emit("message", message);
					if (message.type === "ping" || message.type === "pong") {
						emitter.emit(message.type, true, message.payload);
						if (message.type === "pong") enqueuePing();
						else if (!disablePong) {
							socket2.send(stringifyMessage(message.payload ? {
								type: MessageType.Pong,
								payload: message.payload
							} : { type: MessageType.Pong }, replacer));
							emitter.emit("pong", false, message.payload);
						}
						return;
					}
					if (acknowledged) return;
					if (message.type !== MessageType.ConnectionAck) throw new Error(`First message cannot be of type ${message.type}`);
					clearTimeout(connectionAckTimeout);
					acknowledged = true;
					emitter.emit("connected", socket2, message.payload, retrying);
					retrying = false;
					retries = 0;
					const throwOnClose2 = new Promise((_, reject) => errorOrClosed(reject));
					throwOnClose2.catch(() => {});
					connected([socket2, throwOnClose2]);
				} catch (err) {
					socket2.onmessage = null;
					emitter.emit("error", err);
					socket2.close(CloseCode.BadResponse, limitCloseReason(err instanceof Error ? err.message : String(err), "Bad response"));
				}
			};
		})())));
		if (socket.readyState === WebSocketImpl.CLOSING) await throwOnClose;
		let release = () => {};
		const released = new Promise((resolve) => release = resolve);
		return [
			socket,
			release,
			new Promise((resolve, reject) => {
				const unlisten = errorOrClosed(reject);
				if (socket.readyState !== WebSocketImpl.OPEN) throwOnClose.catch(reject);
				released.then(() => {
					unlisten();
					if (!locks) {
						const complete = () => socket.close(1e3, "Normal Closure");
						if (isFinite(lazyCloseTimeoutMs) && lazyCloseTimeoutMs > 0) {
							clearTimeout(lazyCloseTimeout);
							lazyCloseTimeout = setTimeout(() => {
								if (!locks && socket.readyState === WebSocketImpl.OPEN) complete();
							}, lazyCloseTimeoutMs);
						} else complete();
					}
					resolve();
				});
			})
		];
	}
	function shouldRetryConnectOrThrow(errOrCloseEvent) {
		if (isLikeCloseEvent(errOrCloseEvent) && (isFatalInternalCloseCode(errOrCloseEvent.code) || [
			CloseCode.InternalServerError,
			CloseCode.InternalClientError,
			CloseCode.BadRequest,
			CloseCode.BadResponse,
			CloseCode.Unauthorized,
			CloseCode.SubprotocolNotAcceptable,
			CloseCode.SubscriberAlreadyExists,
			CloseCode.TooManyInitialisationRequests
		].includes(errOrCloseEvent.code))) throw errOrCloseEvent;
		if (disposed) return false;
		if (isLikeCloseEvent(errOrCloseEvent) && errOrCloseEvent.code === 1e3) return locks > 0;
		if (!retryAttempts || retries >= retryAttempts) throw errOrCloseEvent;
		if (!shouldRetry(errOrCloseEvent)) throw errOrCloseEvent;
		return retrying = true;
	}
	if (!lazy) (async () => {
		locks++;
		for (;;) try {
			const [, , throwOnClose] = await connect();
			await throwOnClose;
		} catch (errOrCloseEvent) {
			try {
				if (!shouldRetryConnectOrThrow(errOrCloseEvent)) return;
			} catch (errOrCloseEvent2) {
				return onNonLazyError?.(errOrCloseEvent2);
			}
		}
	})();
	function subscribe(payload, sink) {
		const id = generateID(payload);
		let done = false, errored = false, releaser = () => {
			locks--;
			done = true;
		};
		(async () => {
			locks++;
			for (;;) try {
				const [socket, release, waitForReleaseOrThrowOnClose] = await connect();
				if (done) {
					waitForReleaseOrThrowOnClose.catch(() => {});
					return release();
				}
				const unlisten = emitter.onMessage(id, (message) => {
					switch (message.type) {
						case MessageType.Next:
							sink.next(message.payload);
							return;
						case MessageType.Error:
							errored = true, done = true;
							sink.error(message.payload);
							releaser();
							return;
						case MessageType.Complete:
							done = true;
							releaser();
							return;
					}
				});
				socket.send(stringifyMessage({
					id,
					type: MessageType.Subscribe,
					payload
				}, replacer));
				releaser = () => {
					if (!done && socket.readyState === WebSocketImpl.OPEN) socket.send(stringifyMessage({
						id,
						type: MessageType.Complete
					}, replacer));
					locks--;
					done = true;
					release();
				};
				await waitForReleaseOrThrowOnClose.finally(unlisten);
				return;
			} catch (errOrCloseEvent) {
				if (!shouldRetryConnectOrThrow(errOrCloseEvent)) return;
			}
		})().then(() => {
			if (!errored) sink.complete();
		}).catch((err) => {
			sink.error(err);
		});
		return () => {
			if (!done) releaser();
		};
	}
	return {
		on: emitter.on,
		subscribe,
		iterate(request) {
			const pending = [];
			const deferred = {
				done: false,
				error: null,
				resolve: () => {}
			};
			const dispose = subscribe(request, {
				next(val) {
					pending.push(val);
					deferred.resolve();
				},
				error(err) {
					deferred.done = true;
					deferred.error = err;
					deferred.resolve();
				},
				complete() {
					deferred.done = true;
					deferred.resolve();
				}
			});
			const iterator = async function* iterator2() {
				for (;;) {
					if (!pending.length) await new Promise((resolve) => deferred.resolve = resolve);
					while (pending.length) yield pending.shift();
					if (deferred.error) throw deferred.error;
					if (deferred.done) return;
				}
			}();
			iterator.throw = async (err) => {
				if (!deferred.done) {
					deferred.done = true;
					deferred.error = err;
					deferred.resolve();
				}
				return {
					done: true,
					value: void 0
				};
			};
			iterator.return = async () => {
				dispose();
				return {
					done: true,
					value: void 0
				};
			};
			return iterator;
		},
		async dispose() {
			disposed = true;
			if (connecting) {
				const [socket] = await connecting;
				socket.close(1e3, "Normal Closure");
			}
		},
		terminate() {
			if (connecting) emitter.emit("closed", new TerminatedCloseEvent());
		}
	};
}
var TerminatedCloseEvent = class extends Error {
	name = "TerminatedCloseEvent";
	message = "4499: Terminated";
	code = 4499;
	reason = "Terminated";
	wasClean = false;
};
function isLikeCloseEvent(val) {
	return isObject(val) && "code" in val && "reason" in val;
}
function isFatalInternalCloseCode(code) {
	if ([
		1e3,
		1001,
		1006,
		1005,
		1012,
		1013,
		1014
	].includes(code)) return false;
	return code >= 1e3 && code <= 1999;
}
function isWebSocket(val) {
	return typeof val === "function" && "constructor" in val && "CLOSED" in val && "CLOSING" in val && "CONNECTING" in val && "OPEN" in val;
}
// src/api/socket.ts
var pingEvery = 1e4;
var silence = 2e4;
var longestWait = 1e4;
var unauthorized = [4401, 4403];
var Connection = class {
	onState = () => {};
	/** Called with the reason, or with an empty text if the key or the session is no longer valid. */
	onUnauthenticated = () => {};
	open = /* @__PURE__ */ new Set();
	hurried = () => {};
	unanswered;
	client = createClient({
		url: () => {
			const url = new URL("graphql", location.href);
			url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
			url.hash = "";
			return url.href;
		},
		connectionParams: authorization,
		connectionAckWaitTimeout: silence,
		keepAlive: pingEvery,
		retryAttempts: Infinity,
		shouldRetry: () => true,
		retryWait: (failures) => new Promise((resolve) => {
			this.hurried = resolve;
			setTimeout(resolve, Math.min(longestWait, 500 * 2 ** Math.min(failures, 5)) * (.75 + Math.random() / 2));
		}),
		on: {
			connected: () => this.onState("live"),
			ping: (received) => {
				if (!received) this.unanswered = setTimeout(() => this.client.terminate(), silence);
			},
			pong: (received) => {
				if (received) clearTimeout(this.unanswered);
			},
			closed: (event) => {
				clearTimeout(this.unanswered);
				if (unauthorized.includes(event.code)) this.onUnauthenticated("");
				else if (this.open.size > 0) this.onState("lost");
			}
		}
	});
	/** Subscribes. Returns a function that ends the subscription. */
	subscribe(operation, variables, options) {
		const payload = {
			query: String(operation),
			variables: { ...variables }
		};
		let ended = false, cancel = () => {}, again;
		const end = () => {
			ended = true;
			clearTimeout(again);
			this.open.delete(end);
			cancel();
		};
		const begin = () => {
			cancel = this.client.subscribe(payload, {
				next: ({ data, errors }) => {
					if (ended) return;
					if (errors?.length) return failed(errors);
					const cursor = options.cursor?.(data);
					if (cursor) payload.variables.after = cursor;
					options.next(data);
				},
				error: failed,
				complete: () => retry(1e3)
			});
		};
		const retry = (wait) => {
			clearTimeout(again);
			if (!ended) again = setTimeout(begin, wait);
		};
		const failed = (cause) => {
			if (ended) return;
			const error = Array.isArray(cause) ? new Refused(cause[0]) : null;
			if (error?.code === "CURSOR_GONE") {
				end();
				options.gone?.();
			} else if (error?.code === "UNAUTHENTICATED") this.onUnauthenticated(error.message);
			else if (rejected(error)) {
				end();
				options.refused?.(error);
			} else {
				cancel();
				retry(2e3);
			}
		};
		this.open.add(end);
		begin();
		return end;
	}
	/** Ends all subscriptions and disconnects. */
	close() {
		for (const end of [...this.open]) end();
	}
	/** Connects immediately instead of at the next retry. */
	hurry() {
		this.hurried();
	}
};
var connection = new Connection();
// src/lib/format.ts
var wholes = new Intl.NumberFormat("en");
var count = (value) => wholes.format(value);
/** Formats a number with its significant digits: 0.25, 4.2, 130. */
function figure(value) {
	const size = Math.abs(value);
	if (size === 0) return "0";
	if (size < .01) return value.toPrecision(1);
	if (size < 1) return trimmed(value.toFixed(2));
	if (size < 100) return trimmed(value.toFixed(1));
	return count(Math.round(value));
}
var trimmed = (digits) => digits.replace(/\.?0+$/, "");
/** Formats a difference with its sign, and as a percentage of the second value if share is set. */
function difference(first, second, write, share = true) {
	const change = first - second;
	if (change === 0) return "none";
	const sign = change > 0 ? "+" : "−";
	return `${sign}${write(Math.abs(change))}${share && second > 0 ? ` (${sign}${figure(Math.abs(change) / second * 100)}%)` : ""}`;
}
/** Formats a fraction between 0 and 1 as a percentage, or null as a dash. */
function percent(share) {
	if (share === null) return "–";
	const value = share * 100;
	if (value === 0 || value === 100) return `${value}%`;
	return value > 99.9 ? "> 99.9%" : value < .01 ? "< 0.01%" : `${trimmed(value.toFixed(value < 1 ? 2 : 1))}%`;
}
/** Returns the seconds of an ISO 8601 duration, or null if it is invalid. */
function seconds(iso) {
	const parts = /^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(iso ?? "");
	if (!parts || iso === "P" || iso?.endsWith("T")) return null;
	const [w, d, h, m, s] = parts.slice(2).map((part) => Number(part ?? 0));
	return (parts[1] ? -1 : 1) * (w * 604800 + d * 86400 + h * 3600 + m * 60 + s);
}
/** Returns the ISO 8601 duration of a number of seconds. */
var duration = (s) => `PT${Number(s.toFixed(3))}S`;
/** Returns the seconds of a duration in a notation like 90, 5s, 1m30s, or 2 h, or null if it is invalid. */
function parseSpan(text) {
	const plain = text.trim().toLowerCase();
	if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain);
	if (!/^(\d+(\.\d+)?\s*(s|sec|m|min|h|d)\s*)+$/.test(plain)) return null;
	const units = {
		s: 1,
		sec: 1,
		m: 60,
		min: 60,
		h: 3600,
		d: 86400
	};
	let sum = 0;
	for (const [, n, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*(sec|min|s|m|h|d)/g)) sum += Number(n) * (units[unit] ?? 0);
	return sum;
}
/** Returns the shortest notation that parseSpan accepts. */
function spanInput(s) {
	for (const [unit, size] of [
		["d", 86400],
		["h", 3600],
		["min", 60]
	]) if (s > 0 && s % size === 0) return `${s / size} ${unit}`;
	return `${s} s`;
}
/** Formats a duration, rounded to its significant units. */
function span(s) {
	if (s === null) return "–";
	if (s < 0) s = 0;
	if (s > 0 && s < .9995) return `${Math.round(s * 1e3)} ms`;
	if (s < 10) return `${trimmed(s.toFixed(1))} s`;
	if (s < 60) return `${Math.floor(s)} s`;
	if (s < 3600) return two(s, 60, "min", 1, "s");
	if (s < 86400) return two(s, 3600, "h", 60, "min");
	return two(s, 86400, "d", 3600, "h");
}
function two(s, size, unit, restSize, restUnit) {
	const rest = Math.floor(s % size / restSize);
	return `${Math.floor(s / size)} ${unit}${rest > 0 ? ` ${rest} ${restUnit}` : ""}`;
}
/** Formats an age in its largest unit, so that it rarely changes in lists. */
function age(s) {
	if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 86400) return `${Math.floor(s / 3600)} h`;
	return `${Math.floor(s / 86400)} d`;
}
/** Returns the date and the time of day in the browser's time zone, or in UTC: 2026-12-01T10:20:30.123. */
var wallClock = (at, utc) => (/* @__PURE__ */ new Date(at.getTime() - (utc ? 0 : at.getTimezoneOffset() * 6e4))).toISOString().slice(0, 23);
var clockLengths = {
	minutes: 5,
	seconds: 8,
	milliseconds: 12
};
/** Formats a time of day in the browser's time zone, or in UTC, with the date if it is not today. */
function clock(at, now, digits = "milliseconds", utc = false) {
	const [date, time] = wallClock(new Date(at), utc).split("T");
	const shown = time.slice(0, clockLengths[digits]);
	return wallClock(new Date(now), utc).startsWith(date) ? shown : `${date} ${shown}`;
}
/** Returns the name of an enum value as words. */
var words = (name) => name.toLowerCase().replaceAll("_", " ");
/** Returns the display name of a lane. */
var laneName = (priority) => priority === "OTP" ? "OTP" : words(priority);
/** Returns the name of an event or a member as words: DeadLettered as Dead lettered. */
var spaced = (name) => sentence(name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase());
var sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
var plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
/** Returns the end of an ID, which distinguishes it: IDs of the same minute have the same beginning (UUIDv7). */
var shortId = (id) => id.length > 9 ? `…${id.slice(-8)}` : id;
/** Shows the characters that change the direction of the text around them, so that a quoted text stays in its quotes. */
var visible = (text) => text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
/** Returns the text of a datetime-local field for a time in ISO 8601, in the browser's time zone or in UTC. Empty if there is none. */
function fieldTime(iso, utc = false) {
	const at = new Date(iso);
	return Number.isNaN(at.getTime()) ? "" : wallClock(at, utc).slice(0, 19);
}
/** Returns the time in ISO 8601 for the text of a datetime-local field, or for a date. */
function isoTime(field, utc = false) {
	if (field === "") return "";
	const text = field.includes("T") ? field : `${field}T00:00`;
	return new Date(utc ? `${text}Z` : text).toISOString();
}
/** Returns the time of a text in ISO 8601 in milliseconds, or null. Date.parse alone takes "campaign 12" for December 2001. */
function momentOf(text) {
	if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)) return null;
	const at = Date.parse(text);
	return Number.isNaN(at) ? null : at;
}
/** Writes rows as CSV. A cell that a spreadsheet would run as a formula gets an apostrophe. */
var csv = (rows) => rows.map((row) => row.map((cell) => {
	const text = String(cell ?? "");
	return `"${(/^[=@\t\r]|^[+-](?![\d ]+$)/.test(text) ? `'${text}` : text).replaceAll("\"", "\"\"")}"`;
}).join(",")).join("\r\n");
// src/ui/h.ts
/** Text comes from operators, customers, and WhatsApp. It must not change the direction of surrounding text. */
var readable = (child) => typeof child === "string" ? visible(child) : Array.isArray(child) ? child.map(readable) : child;
/** The attributes that are shown or read out as text. */
var spoken$2 = ["title", "aria-label"];
var labeled = (props) => {
	const names = spoken$2.filter((name) => typeof props?.[name] === "string");
	return names.length === 0 ? props : {
		...props,
		...Object.fromEntries(names.map((name) => [name, visible(props[name])]))
	};
};
var h = ((type, props, ...children) => k$2(type, labeled(props), ...children.map(readable)));
/**
* Returns a component that is drawn again only if one of its props, or a signal that it reads, has changed. A row of a long list is
* one, so that a change of another row costs nothing.
*/
function memo(component) {
	return function(props) {
		this.shouldComponentUpdate = (next) => Object.keys(next).some((name) => next[name] !== this.props[name]);
		return k$2(component, props);
	};
}
/**
* Returns an object whose fields are signals: a component that reads one is drawn again when it is set. Collections in it are
* replaced, not changed.
*/
function reactive(fields) {
	const made = {};
	for (const name of Object.keys(fields)) {
		const field = y$1(fields[name]);
		Object.defineProperty(made, name, {
			enumerable: true,
			get: () => field.value,
			set: (value) => {
				field.value = value;
			}
		});
	}
	return made;
}
// src/state.ts
var state = reactive({
	viewer: null,
	demo: null,
	live: "connecting",
	away: false,
	trouble: null,
	senders: null,
	deadLetters: null,
	behind: null,
	alerts: /* @__PURE__ */ new Map()
});
/** Counts seconds while the tab is visible, to update ages. */
var tick = y$1(0);
setInterval(() => document.hidden || tick.value++, 1e3);
var may = (scope) => state.viewer !== null && (state.viewer.scopes.includes(scope) || state.viewer.scopes.includes("ADMIN"));
/** Returns why the key does not allow an operation, or null if it does. what is the subject of the sentence. */
function forbidden(operation, what = "This") {
	const missing = scopes$1.get(operation).filter((scope) => !may(scope));
	return missing.length === 0 ? null : `${what} requires a key with the scope ${missing.join(" and ")}.`;
}
/**
* Runs fn immediately, and again `every` ms after each run has ended, until one returns true. It pauses in a hidden tab. Returns a
* function that stops it.
*/
function poll(every, fn) {
	let timer, stopped = false, running = false;
	const run = async () => {
		clearTimeout(timer);
		if (stopped || running || document.hidden) return;
		running = true;
		try {
			if (await fn()) stop();
		} catch (error) {
			report(error);
		}
		running = false;
		if (!stopped) timer = setTimeout(run, state.away ? Math.max(every, 1e3) : every);
	};
	const shown = () => void run();
	const stop = () => {
		stopped = true;
		clearTimeout(timer);
		document.removeEventListener("visibilitychange", shown);
	};
	document.addEventListener("visibilitychange", shown);
	run();
	return stop;
}
var troubledAt = 0;
var troubleFor = 6e3;
var signOut$1 = () => {};
function onSignOut(fn) {
	signOut$1 = fn;
}
/** Handles the error of a background request. */
function report(error) {
	if (error instanceof Refused && error.code === "UNAUTHENTICATED") return signOut$1("");
	if (error instanceof ServerAway) state.away = true;
	else if (error instanceof Error && error.name !== "AbortError") [state.trouble, troubledAt] = [error.message, Date.now()];
}
var ends$1 = [];
var announce = () => {};
function onAnnounce(fn) {
	announce = fn;
}
/** Starts the work that is independent of the current view. also starts more, and returns how to stop it. */
function begin$1(also) {
	end();
	ends$1 = [
		poll(1500, pulse),
		follow$1(),
		also()
	];
}
function end() {
	for (const stop of ends$1) stop();
	ends$1 = [];
	Object.assign(state, {
		senders: null,
		deadLetters: null,
		behind: null,
		trouble: null,
		away: false,
		alerts: /* @__PURE__ */ new Map()
	});
}
async function pulse() {
	const { senders, readModel, deadLetters } = await ask(Pulse, {});
	if (!state.viewer) return;
	if (state.away) connection.hurry();
	Object.assign(state, {
		senders: kept$2(senders),
		deadLetters: deadLetters.totalCount,
		behind: seconds(readModel.behind),
		away: false
	});
	if (Date.now() - troubledAt > troubleFor) state.trouble = null;
}
/** Returns the senders, each as the same object as before if nothing about it has changed, so that it is not drawn again. */
function kept$2(senders) {
	const before = state.senders ?? [];
	const now = senders.map((sender) => {
		const known = before.find(({ id }) => id === sender.id);
		return known && JSON.stringify(known) === JSON.stringify(sender) ? known : sender;
	});
	return now.length === before.length && now.every((sender, i) => sender === before[i]) ? before : now;
}
/** Replaces a sender in the list by the result of a mutation. */
function putSender(sender) {
	const senders = state.senders ?? [];
	const at = senders.findIndex(({ id }) => id === sender.id);
	state.senders = at < 0 ? [...senders, sender].sort((a, b) => a.id < b.id ? -1 : 1) : senders.with(at, sender);
}
/** Replaces an alert in the list of open ones, or removes it. */
function putAlert(alert) {
	const alerts = new Map(state.alerts);
	if (alert.state === "RESOLVED") alerts.delete(alert.id);
	else alerts.set(alert.id, alert);
	state.alerts = alerts;
}
var alertListeners = /* @__PURE__ */ new Set();
/** Calls fn for each transition of an alert. Returns a function that stops it. */
function onAlert(fn) {
	alertListeners.add(fn);
	return () => alertListeners.delete(fn);
}
function follow$1() {
	let stop = () => {};
	let startedAt = Date.now();
	const start = () => {
		stop = connection.subscribe(AlertTransitions, {}, {
			cursor: (data) => data.alerts.cursor,
			gone: () => {
				state.alerts = /* @__PURE__ */ new Map();
				startedAt = Date.now();
				start();
			},
			next: ({ alerts: { at, node } }) => {
				sawServerTime(at);
				putAlert(node);
				if (Date.now() - startedAt > 2e3 || node.state !== "RAISED") {
					if (node.state === "RAISED" && !node.silence) announce(`Alert: ${node.summary}`);
					else if (node.state === "RESOLVED") announce(`Resolved: ${node.summary}`);
				}
				for (const listener of alertListeners) listener();
			}
		});
	};
	start();
	return () => stop();
}
/** The open alerts: those that need attention first, and the most severe and latest among them first. */
var openAlerts = () => [...state.alerts.values()].sort((a, b) => Number(!!a.silence) - Number(!!b.silence) || Number(b.severity === "CRITICAL") - Number(a.severity === "CRITICAL") || Date.parse(b.raisedAt) - Date.parse(a.raisedAt));
/** The open alerts that no one takes care of and no silence covers. */
var loudAlerts = () => openAlerts().filter((alert) => alert.state === "RAISED" && !alert.silence);
var senderName = (id) => state.senders?.find((sender) => sender.id === id)?.name ?? id;
/** The sender that metrics are shown for: the chosen one, or the first one of a key that is limited to senders. Null means all. */
var figuresOf = (chosen) => chosen ? chosen : state.viewer?.senderIds?.[0] ?? null;
/** The choices of senders for metrics. A key that is limited to senders has no access to totals. */
var figureChoices = (all) => senderChoices(all).slice(state.viewer?.senderIds ? 1 : 0);
/** The choices of senders, after one for all of them. */
var senderChoices = (all) => [["", all], ...(state.senders ?? []).map(({ id, name }) => [id, name])];
var badge = (n) => n === null || n === 0 ? "" : n > 9999 ? "9999+" : count(n);
var seen = /* @__PURE__ */ new Map();
var seenLimit = 5e3;
/** Remembers the ID of a listed message, so that its short form can be searched for. */
function see(id) {
	const end = id.slice(-8);
	seen.delete(end);
	seen.set(end, id);
	if (seen.size > seenLimit) seen.delete(seen.keys().next().value);
}
/** Returns the ID with this end that a list has shown. */
var seenId = (end) => seen.get(end);
// src/route.ts
function read$8() {
	const hash = location.hash.replace(/^#/, "");
	const at = hash.indexOf("?"), path = at < 0 ? hash : hash.slice(0, at), query = at < 0 ? "" : hash.slice(at + 1);
	if (/^[0-9a-f-]{36}$/i.test(path)) return {
		path: `/messages/${path}`,
		query: new URLSearchParams()
	};
	return {
		path: path.startsWith("/") ? path : `/${path}`,
		query: new URLSearchParams(query)
	};
}
var address = y$1(read$8());
var hash = location.hash;
function update() {
	hash = location.hash;
	address.value = read$8();
}
for (const type of ["hashchange", "popstate"]) addEventListener(type, () => {
	if (location.hash !== hash) update();
});
function link(path, query) {
	const search = query?.toString();
	return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}
function go(to) {
	location.hash = to;
}
/** Goes to another address in place of the current one. */
function replace(to) {
	history.replaceState(null, "", to);
	update();
}
/** Changes the query of the current view: in a new entry of the browser's history if it has a state, and in the current one otherwise. */
function setQuery(change, entry) {
	const { path } = address.value, query = new URLSearchParams(address.value.query);
	for (const [name, value] of Object.entries(change)) if (value === null || value === "") query.delete(name);
	else query.set(name, value);
	const to = link(path.split("/").filter(Boolean).map(decodeURIComponent), query);
	if (!entry) return replace(to);
	history.pushState(entry, "", to);
	update();
}
// src/storage.ts
var refused = /* @__PURE__ */ new Map();
/** Returns a kept value, or null. */
function recall(area, name) {
	try {
		return window[area].getItem(name);
	} catch {
		return refused.get(name) ?? null;
	}
}
/** Keeps a value, or removes it if it is null. */
function keep(area, name, value) {
	try {
		if (value === null) window[area].removeItem(name);
		else window[area].setItem(name, value);
	} catch {
		if (value === null) refused.delete(name);
		else refused.set(name, value);
	}
}
// src/ui/zone.ts
var kept$1 = "zone";
/** Whether times are in UTC. */
var utc = y$1(recall("localStorage", kept$1) === "UTC");
function setUtc(next) {
	utc.value = next;
	keep("localStorage", kept$1, next ? "UTC" : null);
}
/** Formats a time of day in the chosen time zone, with the date if it is not today. */
var zonedClock = (at, now, digits) => clock(at, now, digits, utc.value);
/** Formats a time range with the day of the week: Tue 2026-12-01 10:00 – 11:00. */
function zonedRange(from, to) {
	return `${new Intl.DateTimeFormat("en", {
		weekday: "short",
		...utc.value ? { timeZone: "UTC" } : {}
	}).format(from)} ${zonedClock(from, 0, "minutes")} – ${zonedClock(to, from, "minutes")}`;
}
/** Returns the text of a datetime-local field for a time, and the other way round. */
var toField = (iso) => fieldTime(iso, utc.value);
var fromField = (text) => isoTime(text, utc.value);
// src/ui/parts.ts
var tones = {
	QUEUED: "wait",
	SENDING: "move",
	RETRYING: "warn",
	AMBIGUOUS: "warn",
	SENT: "move",
	DELIVERED: "good",
	READ: "good",
	FAILED: "bad",
	DEAD_LETTERED: "bad",
	CANCELLED: "wait",
	EXPIRED: "warn",
	DISCARDED: "wait",
	SUPPRESSED: "wait",
	ACTIVE: "good",
	PAUSED: "warn",
	HELD: "bad",
	WARNING: "warn",
	CRITICAL: "bad",
	RAISED: "bad",
	ACKNOWLEDGED: "warn",
	RESOLVED: "good",
	TRANSIENT: "warn",
	PERMANENT: "bad",
	SENDER: "bad",
	THROTTLED: "move"
};
var toneOf = (name) => tones[name] ?? "wait";
var chip = (text, tone, props) => h("span", {
	class: "chip",
	"data-tone": tone,
	...props
}, text);
var statusChip = (name) => chip(words(name), toneOf(name));
var quiet = (...children) => h("p", { class: "quiet" }, ...children);
var mono = (text) => h("span", { class: "mono" }, text);
/** Two sheets, drawn, because few fonts have the character for it. */
var copyIcon = () => h("svg", {
	class: "icon",
	width: 12,
	height: 12,
	viewBox: "0 0 12 12",
	"aria-hidden": "true"
}, h("path", { d: "M4.5 3.5h6v7h-6zM7.5 3.5v-2h-6v7h3" }));
/** A button that copies a text. It says so for a moment. */
function Copy({ text, what }) {
	const said = useSignal("");
	A$1(() => {
		if (!said.value) return;
		const timer = setTimeout(() => {
			said.value = "";
		}, 2e3);
		return () => clearTimeout(timer);
	}, [said.value]);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			said.value = "Copied";
		} catch {
			said.value = "Not copied: the browser doesn't allow it";
		}
	};
	return h("span", { class: "copy" }, h("button", {
		type: "button",
		class: "plain small",
		"aria-label": `Copy ${what}`,
		title: `Copy ${what}`,
		onclick: copy
	}, copyIcon()), h("span", {
		role: "status",
		class: said.value ? "quiet" : "unseen"
	}, said.value));
}
/** A text in a fixed-width font, with a button that copies it. */
var copied = (text, what) => [
	h("span", { class: "mono" }, text),
	" ",
	h(Copy, {
		text,
		what
	})
];
/** A link to a message, by the end of its ID. */
function messageLink(id) {
	see(id);
	return h("a", {
		class: "mono",
		href: `#/messages/${id}`,
		title: id,
		"aria-label": `Message ${shortId(id)}`
	}, shortId(id));
}
/** A card with a heading and tools to the right of it. */
function card(title, props, tools, ...children) {
	const key = props.key ?? String(props.id ?? "card"), id = `${props.id ? String(props.id) : key}-title`;
	return h("section", {
		...props,
		key,
		class: `card ${props.class ?? ""}`.trim(),
		"aria-labelledby": id
	}, h("div", { class: "heading" }, h("h2", { id }, title), tools ? h("div", { class: "tools" }, tools) : null), ...children);
}
/** A view whose address has a fault, with a link to the view without filters. */
var astray = (title, fault, href) => card(title, {
	id: "astray",
	class: "wide"
}, h("a", {
	class: "clear",
	href
}, "Clear all"), h("p", {
	class: "error",
	role: "alert"
}, fault));
/** A table with headings. In a narrow window, columns with the class extra are hidden, and the cells of a table with the class stack are stacked. */
function table$1(props, caption, columns, rows) {
	return h("table", props, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, columns.map(({ name, title, class: names }) => h("th", {
		scope: "col",
		class: names ?? null
	}, title ? h("abbr", { title }, name) : name)))), h("tbody", null, rows));
}
/** A cell that shows its column's name where the table is stacked. */
var cell = (label, props, ...children) => h("td", {
	...props,
	"data-label": label
}, ...children);
var time = (at, digits) => h("time", {
	datetime: at,
	title: at
}, zonedClock(at, serverNow(), digits));
/** Returns the server's time. What is drawn with it is drawn again every second. */
var drawnAt$1 = () => (tick.value, serverNow());
var ago = (at) => h("time", {
	datetime: at,
	title: zonedClock(at, serverNow())
}, age((drawnAt$1() - Date.parse(at)) / 1e3));
var facts = (entries) => h("dl", { class: "facts" }, entries.filter(([, value]) => value !== null && value !== void 0 && value !== false).map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: name }, value)]));
/** A button. Its key keeps its node when other buttons appear or disappear, so that it does not lose the focus. */
function button(text, onclick, props) {
	return h("button", {
		type: "button",
		class: "plain",
		onclick,
		key: String(props?.id ?? text),
		...props
	}, text);
}
/** Returns the value of the field that sent the event. */
var held = (event) => event.target.value.trim();
var fields$1 = 0;
var ids = /* @__PURE__ */ new Map();
/** A control with a label and a hint that screen readers read with it. */
function field(label, control, hint) {
	const { children, ...props } = control.props;
	const name = String(props.name ?? label);
	let id = ids.get(name);
	if (!id) ids.set(name, id = `field-${++fields$1}`);
	const described = hint ? { "aria-describedby": `${id}-hint` } : null;
	return h("div", {
		class: "field",
		key: name
	}, h("label", { for: id }, label), h(control.type, {
		id,
		...described,
		...props
	}, children), hint ? h("p", {
		class: "hint",
		id: `${id}-hint`
	}, hint) : null);
}
var options = (values, chosen) => values.map(([value, text]) => h("option", {
	key: value,
	value,
	selected: value === chosen
}, text));
/** A filter of a list. It calls onchoose with the chosen value. A value of the address that is not among the choices is shown too. */
function choose(label, value, values, onchoose, props) {
	return h("label", {
		class: "choose",
		key: `choose-${label}`
	}, h("span", null, label), h("select", {
		...props,
		value,
		onchange: (event) => onchoose(event.target.value)
	}, options(value && !values.some(([id]) => id === value) ? [...values, [value, value]] : values, value)));
}
/** A filter of a list that is typed. It calls onchange when the text is complete. */
function textFilter({ label, value, placeholder, onchange, type = "text", ...rest }) {
	const typed = useSignal(value);
	A$1(() => {
		typed.value = value;
	}, [value]);
	return h("label", { class: "choose" }, h("span", null, label), h("input", {
		...rest,
		type,
		placeholder: placeholder ?? null,
		size: 14,
		autocomplete: "off",
		spellcheck: false,
		value: typed.value,
		oninput: (event) => {
			typed.value = event.target.value;
		},
		onchange: (event) => onchange(held(event))
	}));
}
/** Buttons of which one is selected. */
function segments(label, value, values, onchoose) {
	return h("div", {
		class: "segments",
		role: "group",
		"aria-label": label
	}, values.map(([id, text]) => h("button", {
		type: "button",
		key: id,
		"aria-pressed": String(id === value),
		onclick: () => onchoose(id)
	}, text)));
}
/** Returns the values of a form's fields. Blank fields are omitted. Texts of several lines keep the space around them, because it can be meant. */
function values(form) {
	const held = {};
	for (const [name, value] of new FormData(form)) {
		if (typeof value !== "string" || value.trim() === "") continue;
		held[name] = form.elements.namedItem(name) instanceof HTMLTextAreaElement ? value : value.trim();
	}
	return held;
}
/** Marks the field that the server reported as invalid, and moves the focus to it. */
function markField(form, name) {
	for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
	if (!name) return;
	const control = name.replace(/\[\d+\]/g, "").split(".").reverse().map((part) => form.elements.namedItem(part)).find((found) => found instanceof HTMLElement);
	if (control instanceof HTMLElement) {
		control.setAttribute("aria-invalid", "true");
		control.focus();
	}
}
/** Has the browser save a file. */
function save(name, content) {
	const url = URL.createObjectURL(content);
	Object.assign(document.createElement("a"), {
		href: url,
		download: name
	}).click();
	setTimeout(() => URL.revokeObjectURL(url), 6e4);
}
/** Returns a new idempotency key. crypto.randomUUID is not available over plain HTTP from another machine. */
var freshKey = () => `page-${Array.from(crypto.getRandomValues(/* @__PURE__ */ new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
/** Who or what caused an event, in words. A webhook has an ID of no use to a reader. */
function actorOf({ kind, id, name, onBehalfOf }) {
	const actor = kind === "WEBHOOK" ? "WhatsApp's webhook" : kind === "PLATFORM" ? id : `${words(kind)} ${name ?? id}`;
	return onBehalfOf ? `${actor} for ${onBehalfOf}` : actor;
}
// src/ui/overlay.ts
var layer = reactive({
	dialog: null,
	busy: false,
	fault: "",
	notes: [],
	operations: /* @__PURE__ */ new Map()
});
var serial$1 = 0;
var element$1 = null;
function openDialog(dialog) {
	serial$1++;
	Object.assign(layer, {
		dialog,
		busy: false,
		fault: ""
	});
}
function closeDialog() {
	layer.dialog = null;
	element$1?.close();
}
/** Closes the dialog of a view that is replaced. */
function leaveDialog() {
	if (!layer.dialog?.stays) closeDialog();
}
/** Shows a secret that the server returns only once. It replaces the dialog that requested it. */
function showSecret(title, secret) {
	openDialog({
		title,
		close: "Close",
		stays: true,
		label: () => "I have stored it",
		body: () => [h("p", null, "Copy it now. It is not shown again."), h("p", { class: "secret" }, copied(secret, "the secret"))],
		run: () => Promise.resolve()
	});
}
/** The text for the lost response of an action that adds an entry to a list each time. */
var lostEntry = "No response, so the outcome is unknown. Check the list before you try again.";
/** Returns the text to show for the error of an action. */
var faultText = (error, lost = "No response, so the outcome is unknown. It is safe to try again.") => error instanceof ServerAway ? lost : messageOf(error);
function Shown({ dialog }) {
	const { title, body, label, danger, lost, run } = dialog, { busy, fault } = layer, text = label();
	const node = T(null);
	F$1(() => {
		const shown = element$1 = node.current;
		shown.showModal();
		return () => shown.close();
	}, []);
	const submit = async (event) => {
		event.preventDefault();
		if (layer.busy) return;
		const form = event.currentTarget;
		Object.assign(layer, {
			busy: true,
			fault: ""
		});
		try {
			await run(values(form), form);
			if (layer.dialog === dialog) closeDialog();
		} catch (error) {
			if (layer.dialog !== dialog) return note(faultText(error, lost), true);
			layer.fault = faultText(error, lost);
			markField(form, error instanceof Refused ? error.field : null);
		}
		if (layer.dialog === dialog) layer.busy = false;
	};
	return h("dialog", {
		class: "dialog",
		"aria-labelledby": "dialog-title",
		ref: node,
		onclose: () => {
			if (layer.dialog === dialog) closeDialog();
		}
	}, h("form", { onsubmit: submit }, h("h2", { id: "dialog-title" }, title), h("div", { class: "dialog-body" }, body()), h("p", {
		class: "error",
		role: "alert"
	}, fault), h("div", { class: "actions" }, h("button", {
		type: "submit",
		class: danger ? "danger" : "",
		disabled: busy || text === null
	}, busy ? "Please wait…" : text ?? "…"), button(dialog.close ?? "Cancel", closeDialog))));
}
var lastNote = 0;
var noteTime = 7e3;
function note(text, bad = false) {
	const id = ++lastNote;
	layer.notes = [...layer.notes.slice(-2), {
		id,
		text,
		bad
	}];
	setTimeout(() => {
		layer.notes = layer.notes.filter((other) => other.id !== id);
	}, noteTime);
}
/** Performs an action and shows a note with the outcome. */
async function attempt(done, fn) {
	try {
		await fn();
		note(done);
	} catch (error) {
		note(faultText(error), true);
	}
}
var verbs = {
	CANCEL: "Cancelling",
	REQUEUE: "Requeueing",
	DISCARD: "Discarding"
};
/** Shows an operation in every view until it is finished and the user has closed it. by is who started it elsewhere. */
function watch(verb, progress, ended, by = "") {
	if (!state.viewer) return;
	const { id } = progress;
	const put = (next) => {
		layer.operations = new Map(layer.operations).set(id, {
			verb,
			by,
			progress: next,
			stop
		});
	};
	let stop = () => {};
	if (progress.state !== "RUNNING") {
		put(progress);
		return ended();
	}
	stop = poll(400, async () => {
		const { operation } = await ask(OperationProgress, { id });
		if (layer.operations.get(id)?.stop !== stop) return stop();
		if (operation) put(operation);
		else close$1(id);
		if (operation?.state !== "RUNNING") {
			stop();
			ended();
		}
	});
	put(progress);
}
/** Shows the operations that were started in other tabs, by other people, or before a reload. Returns how to end that, and all progress. */
function watchOthers() {
	let ended = false;
	const stop = forbidden(RunningOperations) ? () => {} : poll(3e3, async () => {
		const { operations } = await ask(RunningOperations, {});
		if (ended) return;
		for (const { kind, startedBy, ...progress } of operations) if (progress.state === "RUNNING" && !layer.operations.has(progress.id)) watch(verbs[kind], progress, () => {}, startedBy ? actorOf(startedBy) : "");
	});
	return () => {
		ended = true;
		stop();
		for (const id of layer.operations.keys()) close$1(id);
	};
}
function close$1(id) {
	layer.operations.get(id)?.stop();
	layer.operations = new Map([...layer.operations].filter(([other]) => other !== id));
}
var operationCards = () => [...layer.operations].map(([id, { verb, by, progress }]) => {
	const { state: now, selected, done, refusedCount, refused } = progress;
	const over = now !== "RUNNING";
	return h("section", {
		key: id,
		class: "operation",
		"aria-label": verb
	}, h("div", { class: "heading" }, h("strong", null, verb), over ? button("Close", () => close$1(id), { class: "plain small" }) : null), by ? h("p", { class: "quiet" }, `Started by ${by}`) : null, h("progress", {
		max: Math.max(selected, 1),
		value: String(done + refusedCount),
		"aria-label": `${verb}: progress`
	}), h("p", null, `${over ? "Done: " : ""}${count(done)} of ${count(selected)}${refusedCount > 0 ? `, ${count(refusedCount)} rejected` : ""}`), refused.length > 0 ? h("details", null, h("summary", null, refused.length < refusedCount ? `The first ${count(refused.length)} rejected messages` : "Rejected messages"), h("ul", null, refused.map((r) => h("li", { key: r.messageId }, messageLink(r.messageId), ` ${r.message}`)))) : null);
});
function Overlay() {
	return h("div", null, layer.dialog ? h(Shown, {
		key: serial$1,
		dialog: layer.dialog
	}) : null, h("div", { class: "operations" }, state.viewer ? operationCards() : null), h("div", {
		class: "notes",
		role: "status"
	}, layer.notes.map(({ id, text, bad }) => h("p", {
		key: id,
		class: "note",
		"data-tone": bad ? "bad" : "good"
	}, text))));
}
// src/session.ts
var session = reactive({
	fault: "",
	opening: false,
	asksForKey: false,
	wantsLink: false,
	canSignIn: false
});
var retry;
/** Ends the use of the key, and asks for another one or to sign in. */
function signOut(reason = "") {
	clearTimeout(retry);
	end();
	connection.close();
	useKey(null);
	state.viewer = null;
	keep("sessionStorage", "key", null);
	Object.assign(session, {
		fault: reason,
		opening: false,
		asksForKey: true
	});
}
/** Called when the server no longer accepts the key or the session. */
function expire(reason) {
	if (!state.viewer) return;
	signOut(signedIn() ? "Your session has ended. Sign in again." : reason || "The key is no longer valid.");
}
/** Whether a person has signed in with the identity provider, in this browser. */
var signedIn = () => state.viewer?.kind === "USER" && currentKey() === null;
/** Signs a person out in this browser, or stops using the key. */
async function leave() {
	if (!signedIn()) return signOut();
	try {
		if (!(await fetch("auth/logout", {
			method: "POST",
			signal: AbortSignal.timeout(1e4)
		})).ok) throw new Error();
		signOut();
	} catch {
		note("The server does not respond, so you are still signed in. Try again.", true);
	}
}
var origin = "origin";
/** Goes to the identity provider, which returns to the web UI. */
function beginSignIn() {
	keep("sessionStorage", origin, location.hash);
	location.assign("auth/login");
}
function signIn(key) {
	if (!/^[\x21-\x7e]+$/.test(key)) return signOut("The key contains a space or another character that no key has. Copy it again.");
	useKey(key);
	open$1();
}
/** Switches back to the demo's own key. */
function useDemoKey() {
	keep("sessionStorage", "key", null);
	signIn(state.demo.key);
}
/** Begins with the current key, or with the session if there is none. While the server is unavailable, it retries. */
async function open$1() {
	clearTimeout(retry);
	Object.assign(session, {
		fault: "",
		opening: true
	});
	const key = currentKey();
	try {
		const { viewer } = await ask(Viewer, {});
		if (key !== currentKey()) return;
		state.viewer = viewer;
		if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope, only ${viewer.scopes.join(", ")}.`);
		if (key !== null && key !== state.demo?.key) keep("sessionStorage", "key", key);
		Object.assign(session, {
			opening: false,
			asksForKey: false
		});
		state.away = false;
		begin$1(watchOthers);
	} catch (error) {
		if (key !== currentKey()) return;
		if (error instanceof Refused && (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN")) return signOut(error.message);
		state.away = error instanceof ServerAway;
		session.fault = `${error instanceof Error ? error.message : "The server does not respond."} Retrying automatically.`;
		retry = setTimeout(open$1, 2e3);
	}
}
async function start() {
	clearTimeout(retry);
	connection.onState = (live) => {
		state.live = live;
	};
	connection.onUnauthenticated = expire;
	takeLink();
	const [found, people] = await Promise.all([demo(), identities()]);
	state.demo = found;
	session.canSignIn = people?.signIn ?? false;
	const key = recall("sessionStorage", "key") ?? state.demo?.key;
	if (key) return signIn(key);
	if (!people) {
		state.away = true;
		Object.assign(session, {
			fault: "The server does not respond. Retrying automatically.",
			opening: true
		});
		retry = setTimeout(start, 2e3);
		return;
	}
	if (!people.signedIn) return signOut();
	const from = recall("sessionStorage", origin);
	keep("sessionStorage", origin, null);
	if (from && !location.hash) replace(from);
	open$1();
}
/** Returns whether people can sign in, and whether someone has, in this browser. Null if the server is unavailable. */
async function identities() {
	try {
		const response = await fetch("auth.json", { signal: AbortSignal.timeout(1e4) });
		return response.ok ? await response.json() : null;
	} catch {
		return null;
	}
}
/** The storage key for the secret of the demo's link, for reloads and other tabs. The secret is useless after the demo. */
var demoSecret = "demo";
/** Removes the secret of the demo's link from the address and stores it. Returns whether there was one. */
function takeLink() {
	const secret = /^#key=(.+)$/.exec(location.hash)?.[1];
	if (!secret) return false;
	keep("localStorage", demoSecret, secret);
	replace("#/");
	return true;
}
/** Returns the demo's key and simulator. Without the secret of its link, and outside the demo, the file contains no key. */
async function demo() {
	const secret = recall("localStorage", demoSecret) ?? "";
	try {
		const response = await fetch("demo.json", {
			headers: { authorization: `Bearer ${secret}` },
			signal: AbortSignal.timeout(1e4)
		});
		const given = response.ok ? await response.json() : null;
		session.wantsLink = given?.demo === true;
		if (given?.key) return {
			...given,
			secret
		};
		if (given) keep("localStorage", demoSecret, null);
		return null;
	} catch {
		return null;
	}
}
// src/ui/palette.ts
var palette = reactive({
	commands: null,
	typed: "",
	at: 0
});
var serial = 0;
var element = null;
function openPalette(commands) {
	serial++;
	Object.assign(palette, {
		commands,
		typed: "",
		at: 0
	});
}
function close() {
	palette.commands = null;
	element?.close();
}
function run(command) {
	if (!command) return;
	close();
	if (typeof command.run === "string") go(command.run);
	else command.run();
}
/** Returns the commands that contain all typed words. */
function matching() {
	const words = palette.typed.toLowerCase().split(/\s+/);
	return (palette.commands ?? []).filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
}
function Open({ commands }) {
	const node = T(null), found = matching(), at = Math.min(palette.at, found.length - 1);
	F$1(() => {
		const shown = element = node.current;
		shown.showModal();
		return () => shown.close();
	}, []);
	F$1(() => document.getElementById(`command-${at}`)?.scrollIntoView({ block: "nearest" }), [at, palette.typed]);
	const key = (event) => {
		const step = {
			ArrowDown: 1,
			ArrowUp: -1
		}[event.key];
		if (step) {
			event.preventDefault();
			palette.at = (at + step + found.length) % Math.max(found.length, 1);
		} else if (event.key === "Enter") {
			event.preventDefault();
			run(matching()[palette.at]);
		}
	};
	return h("dialog", {
		class: "dialog palette",
		"aria-label": "Commands",
		ref: node,
		onclose: () => {
			if (palette.commands === commands) close();
		}
	}, h("input", {
		type: "text",
		role: "combobox",
		"aria-label": "Command",
		"aria-expanded": "true",
		"aria-controls": "palette",
		autocomplete: "off",
		spellcheck: false,
		"aria-activedescendant": found.length > 0 ? `command-${at}` : null,
		placeholder: "Go to…",
		value: palette.typed,
		onkeydown: key,
		oninput: (event) => Object.assign(palette, {
			typed: event.target.value,
			at: 0
		})
	}), h("ul", {
		id: "palette",
		role: "listbox",
		"aria-label": "Commands"
	}, found.map((command, i) => h("li", {
		key: command.name,
		id: `command-${i}`,
		role: "option",
		"aria-selected": String(i === at),
		onclick: () => run(command)
	}, h("span", null, command.name), command.keys ? h("kbd", null, command.keys) : null))), found.length === 0 ? h("p", {
		class: "quiet",
		role: "status"
	}, "No command has this name.") : null);
}
var Palette = () => palette.commands && h(Open, {
	key: serial,
	commands: palette.commands
});
// src/lib/recognize.ts
var statuses$1 = [
	"QUEUED",
	"SENDING",
	"RETRYING",
	"AMBIGUOUS",
	"SENT",
	"DELIVERED",
	"READ",
	"FAILED",
	"DEAD_LETTERED",
	"CANCELLED",
	"EXPIRED",
	"DISCARDED",
	"SUPPRESSED"
];
var types = [
	"TEXT",
	"TEMPLATE",
	"IMAGE",
	"VIDEO",
	"AUDIO",
	"DOCUMENT",
	"STICKER",
	"LOCATION",
	"CONTACTS",
	"REACTION",
	"INTERACTIVE"
];
var priorities = [
	"OTP",
	"TRANSACTIONAL",
	"BULK"
];
var uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
var userId = /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/;
/** Reports whether the text is a WhatsApp user ID, which people who hide their number have. */
var isUserId = (text) => userId.test(text.trim());
var phone = /^\+?[\d\s()./-]+$/;
function isPhone(text) {
	const digits = text.replace(/\D/g, "").length;
	return phone.test(text) && digits >= 7 && digits <= 15 && (text.trim().startsWith("+") || digits >= 10);
}
var enumName = (text) => text.trim().toUpperCase().replaceAll(/[\s-]+/g, "_");
var spellings = { CANCELED: "CANCELLED" };
var statusNamed = (text) => {
	const name = spellings[enumName(text)] ?? enumName(text);
	return statuses$1.find((s) => s === name || s.replace("_", "") === name);
};
var listed$1 = (names) => names.map((name) => name.toLowerCase().replaceAll("_", " ")).join(", ");
var unquoted = (text) => text.replace(/^"(.*)"$/s, "$1");
/**
* Recognizes a message ID, a phone number, a user ID, a wamid, name=value, a status, "overdue", or word:value for each filter, in any combination.
* Anything else is an idempotency key.
*/
function recognize(typed) {
	const text = typed.trim();
	const found = {};
	if (text === "") return found;
	if (isPhone(text)) return { to: text };
	const whole = statusNamed(text);
	if (whole) return { status: [whole] };
	const unknown = [];
	for (const [part] of text.matchAll(/(?:[^\s"]+|"[^"]*")+/g)) if (!take$1(found, part)) unknown.push(unquoted(part));
	if (unknown.length > 0) found.key = unknown.join(" ");
	return found;
}
function take$1(found, part) {
	const named = /^(id|to|user|phone|number|key|wamid|status|label|sender|type|priority|template|category|code):(.*)$/is.exec(part);
	if (named) {
		const value = unquoted(named[2]), name = named[1].toLowerCase();
		if (value === "") {
			found.invalid = `${name}: needs a value.`;
			return true;
		}
		switch (name) {
			case "to":
			case "phone":
			case "number": return only(found, "to", value);
			case "id":
			case "user":
			case "key":
			case "wamid":
			case "sender":
			case "template":
			case "category": return only(found, name, value);
			case "type":
				if (types.some((t) => t === enumName(value))) return only(found, "type", enumName(value));
				found.invalid = `There is no type “${value}”; types are ${listed$1(types)}.`;
				return true;
			case "priority":
				if (priorities.some((p) => p === enumName(value))) return only(found, "priority", enumName(value));
				found.invalid = `There is no priority “${value}”; priorities are ${listed$1(priorities)}.`;
				return true;
			case "code":
				if (/^\d+$/.test(value)) return only(found, "code", Number(value));
				found.invalid = `“${value}” is not an error code; use a number such as 131026.`;
				return true;
			case "label":
				if (!takeLabel(found, value)) found.invalid = `“${value}” is not a label; use label:name=value.`;
				return true;
			case "status":
				for (const name of value.split(",")) {
					const status = statusNamed(name);
					if (status) found.status = [...found.status ?? [], status];
					else found.invalid = `There is no status “${name}”; statuses are ${listed$1(statuses$1)}.`;
				}
				return true;
		}
	}
	if (/^overdue$/i.test(part)) found.overdue = true;
	else if (/^…?[0-9a-f]{8}$/i.test(part) && (part.startsWith("…") || /[a-f]/i.test(part))) return only(found, "end", part.replace("…", "").toLowerCase());
	else if (uuid.test(part)) return only(found, "id", part.toLowerCase());
	else if (/^wamid\./i.test(part)) return only(found, "wamid", part);
	else if (isPhone(part)) return only(found, "to", part);
	else if (userId.test(part)) return only(found, "user", part);
	else if (statusNamed(part)) found.status = [...found.status ?? [], statusNamed(part)];
	else return takeLabel(found, part);
	return true;
}
/** Sets a filter that a message can match with one value only. A second value would silently replace the first. */
function only(found, name, value) {
	if (found[name] !== void 0 && found[name] !== value) found.invalid = `“${found[name]}” and “${value}” exclude each other; search for one of them.`;
	found[name] = value;
	return true;
}
function takeLabel(found, text, read = unquoted) {
	const at = text.indexOf("=");
	if (at <= 0) return false;
	found.labels = [...found.labels ?? [], {
		name: read(text.slice(0, at)),
		value: read(text.slice(at + 1))
	}];
	return true;
}
/** Describes the filters, for the line below the box. */
function describe$1(filters) {
	const parts = [];
	if (filters.id) parts.push(`message ID ${filters.id}`);
	if (filters.end) parts.push(`message ID …${filters.end}`);
	if (filters.to) parts.push(`phone number ${filters.to}`);
	if (filters.user) parts.push(`user ID ${filters.user}`);
	if (filters.wamid) parts.push("WhatsApp ID");
	if (filters.key) parts.push(`idempotency key ${filters.key}`);
	for (const { name, value } of filters.labels ?? []) parts.push(`label ${name} = ${value}`);
	if (filters.status) parts.push(`status ${filters.status.map((s) => s.toLowerCase().replace("_", " ")).join(" or ")}`);
	if (filters.sender) parts.push(`sender ${filters.sender}`);
	if (filters.type) parts.push(`type ${filters.type.toLowerCase()}`);
	if (filters.priority) parts.push(`priority ${filters.priority.toLowerCase()}`);
	if (filters.template) parts.push(`template ${filters.template}`);
	if (filters.category) parts.push(`failure ${filters.category}`);
	if (filters.code !== void 0) parts.push(`code ${filters.code}`);
	if (filters.overdue) parts.push("delivery overdue");
	if (filters.from) parts.push(`queued from ${filters.from}`);
	if (filters.until) parts.push(`queued before ${filters.until}`);
	return parts;
}
/** Converts filters to the query of a link. fromQuery converts it back. */
function toQuery(filters) {
	const query = new URLSearchParams();
	for (const name of [
		"to",
		"user",
		"key",
		"wamid",
		"sender",
		"type",
		"priority",
		"template",
		"category",
		"from",
		"until"
	]) {
		const value = filters[name];
		if (value) query.set(name, value);
	}
	if (filters.code !== void 0) query.set("code", String(filters.code));
	if (filters.overdue) query.set("overdue", "1");
	for (const status of filters.status ?? []) query.append("status", status);
	for (const { name, value } of filters.labels ?? []) query.append("label", `${name}=${value}`);
	return query;
}
/** The parameters of a link to messages. The page is not a filter. */
var parameters = [
	"to",
	"user",
	"key",
	"wamid",
	"sender",
	"template",
	"category",
	"type",
	"priority",
	"code",
	"status",
	"label",
	"overdue",
	"from",
	"until",
	"page",
	"after"
];
/** Reads the filters of a link. If a part is invalid, so are the filters: without it, they would match more. */
function fromQuery(query) {
	const filters = {};
	for (const [name, value] of query) {
		if (value === "" || name === "page" || name === "after") continue;
		if (!parameters.includes(name)) filters.invalid = `The address has an unknown filter, “${name}”.`;
		else if (name === "from" || name === "until") {
			only(filters, name, value);
			if (momentOf(value) === null) filters.invalid = `“${value}” is not a time.`;
		} else if (name === "overdue") {
			filters.overdue = true;
			if (value !== "1") filters.invalid = `“${value}” is not a value of overdue; use 1.`;
		} else if (name === "to" || name === "user" || name === "key" || name === "wamid" || name === "sender" || name === "template" || name === "category") only(filters, name, value);
		else if (name === "label") {
			if (!takeLabel(filters, value, (text) => text)) filters.invalid = `“${value}” is not a label; use label:name=value.`;
		} else if (!take$1(filters, `${name}:${value}`)) filters.invalid = `“${value}” is not a value of ${name}.`;
	}
	return filters;
}
// src/ui/search_box.ts
var box = reactive({
	typed: "",
	focused: false
});
var focusSearch = () => {
	const input = document.getElementById("search");
	input.focus();
	input.select();
};
/** Returns what the text means: where its results are, or why there are none, and a description. */
function understand$1(typed) {
	const { invalid, ...filters } = recognize(typed), found = describe$1(filters);
	if (invalid) return {
		fault: invalid,
		found
	};
	if (found.length === 0) return { found };
	const id = filters.id ?? (filters.end === void 0 ? void 0 : seenId(filters.end));
	if (id) return {
		to: link(["messages", id]),
		found
	};
	if (filters.end === void 0) return {
		to: link(["messages"], toQuery(filters)),
		found
	};
	return {
		fault: `No list in this tab has shown a message that ends in …${filters.end}. Enter its whole ID, or key:${filters.end} for an idempotency key.`,
		found
	};
}
function SearchBox() {
	const { fault, found } = understand$1(box.typed);
	return h("form", {
		class: "search",
		role: "search",
		onsubmit: (event) => {
			event.preventDefault();
			const { to } = understand$1(box.typed);
			if (!to) return;
			go(to);
			box.typed = "";
		}
	}, h("label", {
		class: "unseen",
		for: "search"
	}, "Search messages"), h("input", {
		id: "search",
		type: "search",
		name: "q",
		placeholder: "Message ID, number, key, wamid, label=value, status",
		autocomplete: "off",
		spellcheck: false,
		value: box.typed,
		"aria-describedby": "search-hint",
		oninput: (event) => {
			box.typed = event.target.value;
		},
		onfocus: () => {
			box.focused = true;
		},
		onblur: () => {
			box.focused = false;
		},
		onkeydown: (event) => {
			if (event.key === "Escape") event.target.blur();
		}
	}), h("kbd", { "aria-hidden": "true" }, "/"), h("p", {
		id: "search-hint",
		class: box.focused ? "search-hint" : "unseen",
		role: "status"
	}, fault ? h("strong", null, fault) : found.length > 0 ? [
		"Press Enter to search for ",
		h("strong", null, found.join(", ")),
		"."
	] : "Combine terms: failed campaign=spring. Or name the fields: sender:demo code:131026 template:hello key:order-7."));
}
// src/ui/theme.ts
var kept = "theme";
function read$7() {
	const value = recall("localStorage", kept);
	return value === "light" || value === "dark" ? value : "system";
}
var theme = y$1(read$7());
var darkness = matchMedia("(prefers-color-scheme: dark)");
var systemIsDark = y$1(darkness.matches);
darkness.addEventListener("change", () => {
	systemIsDark.value = darkness.matches;
});
/** What the page looks like. */
var shade = O(() => theme.value === "system" ? systemIsDark.value ? "dark" : "light" : theme.value);
function setTheme(next) {
	keep("localStorage", kept, next === "system" ? null : next);
	apply(next);
	theme.value = next;
}
function apply(next) {
	if (next === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = next;
}
apply(theme.value);
// src/views/sign_in.ts
var focus = (node) => node?.focus();
var signInCard = () => h("section", {
	id: "sign-in",
	class: "card narrow",
	"aria-labelledby": "sign-in-title"
}, h("h2", { id: "sign-in-title" }, session.canSignIn ? "Sign in" : "API key"), session.canSignIn ? h("div", { class: "actions" }, h("button", {
	type: "button",
	id: "sign-in-person",
	ref: focus,
	onclick: beginSignIn
}, "Sign in")) : null, session.canSignIn ? h("h3", null, "Or use an API key") : null, quiet("The web UI requires the READ scope. PERSONAL adds phone numbers and content, AUDIT the ledger and the event log, SEND the form ", "for messages, and OPERATE changes to senders, alerts, and dead letters. The key is kept in this tab until you close it. The ADMIN ", "key is in the file admin.key in the server's data directory."), session.wantsLink ? quiet("This is the demo. To sign in, open the link that it printed in the terminal.") : null, h("form", {
	id: "sign-in-form",
	onsubmit: (event) => {
		event.preventDefault();
		const field = event.currentTarget.elements.namedItem("key");
		const key = field.value.trim();
		field.value = "";
		signIn(key);
	}
}, h("div", { class: "field" }, h("label", { for: "key" }, "Key"), h("input", {
	id: "key",
	name: "key",
	type: "password",
	autocomplete: "off",
	spellcheck: false,
	required: true,
	ref: session.canSignIn ? () => {} : focus
})), h("p", {
	id: "sign-in-error",
	class: "error",
	role: "alert"
}, session.fault), h("div", { class: "actions" }, h("button", {
	type: "submit",
	disabled: session.opening
}, session.opening ? "Opening…" : "Open"), state.demo ? button("Use the demo's key", useDemoKey) : null)));
// src/lib/windows.ts
/** The available windows, each with a step that results in 60 to 170 points. Steps below a minute are available only for 3 h. */
var windows = [
	{
		id: "5m",
		name: "5 min",
		seconds: 300,
		step: 5
	},
	{
		id: "15m",
		name: "15 min",
		seconds: 900,
		step: 10
	},
	{
		id: "1h",
		name: "1 h",
		seconds: 3600,
		step: 30
	},
	{
		id: "6h",
		name: "6 h",
		seconds: 21600,
		step: 180
	},
	{
		id: "24h",
		name: "24 h",
		seconds: 86400,
		step: 600
	},
	{
		id: "7d",
		name: "7 d",
		seconds: 604800,
		step: 3600
	}
];
/** Returns the bounds of a series with steps at round times: the start of its first step and the end of its last complete one. */
function stepBounds(now, window) {
	const step = window.step * 1e3;
	const to = Math.floor(now / step) * step;
	return {
		from: to - window.seconds * 1e3,
		to
	};
}
// src/lib/query.ts
/** Reports a parameter that the view doesn't know or that occurs twice, or returns an empty text. */
function unknown(query, ...known) {
	const names = [...query.keys()], stray = names.find((name) => !known.includes(name));
	if (stray !== void 0) return `The address has an unknown filter, “${stray}”.`;
	const twice = names.find((name, i) => names.indexOf(name) !== i);
	return twice === void 0 ? "" : `The address has the filter “${twice}” more than once.`;
}
/** Reports a parameter that has none of its values, or returns an empty text. */
function unlisted(query, name, values) {
	const value = query.get(name) ?? "";
	return value === "" || values.includes(value) ? "" : `“${value}” is not a value of ${name}; use ${values.join(" or ")}.`;
}
// node_modules/uplot/dist/uPlot.esm.js
/**
* Copyright (c) 2025, Leon Sorokin
* All rights reserved. (MIT Licensed)
*
* uPlot.js (μPlot)
* A small, fast chart for time series, lines, areas, ohlc & bars
* https://github.com/leeoniya/uPlot (v1.6.32)
*/
var FEAT_TIME = true;
var UPLOT = "uplot";
var ORI_HZ = "u-hz";
var ORI_VT = "u-vt";
var TITLE = "u-title";
var WRAP = "u-wrap";
var UNDER = "u-under";
var OVER = "u-over";
var AXIS = "u-axis";
var OFF = "u-off";
var SELECT = "u-select";
var CURSOR_X = "u-cursor-x";
var CURSOR_Y = "u-cursor-y";
var CURSOR_PT = "u-cursor-pt";
var LEGEND = "u-legend";
var LEGEND_LIVE = "u-live";
var LEGEND_INLINE = "u-inline";
var LEGEND_SERIES = "u-series";
var LEGEND_MARKER = "u-marker";
var LEGEND_LABEL = "u-label";
var LEGEND_VALUE = "u-value";
var WIDTH = "width";
var HEIGHT = "height";
var TOP = "top";
var BOTTOM = "bottom";
var LEFT = "left";
var RIGHT = "right";
var hexBlack = "#000";
var transparent = "#0000";
var mousemove = "mousemove";
var mousedown = "mousedown";
var mouseup = "mouseup";
var mouseenter = "mouseenter";
var mouseleave = "mouseleave";
var dblclick = "dblclick";
var resize = "resize";
var scroll = "scroll";
var change = "change";
var dppxchange = "dppxchange";
var LEGEND_DISP = "--";
var domEnv = typeof window != "undefined";
var doc = domEnv ? document : null;
var win = domEnv ? window : null;
var nav = domEnv ? navigator : null;
var pxRatio;
var query;
function setPxRatio() {
	let _pxRatio = devicePixelRatio;
	if (pxRatio != _pxRatio) {
		pxRatio = _pxRatio;
		query && off(change, query, setPxRatio);
		query = matchMedia(`(min-resolution: ${pxRatio - .001}dppx) and (max-resolution: ${pxRatio + .001}dppx)`);
		on(change, query, setPxRatio);
		win.dispatchEvent(new CustomEvent(dppxchange));
	}
}
function addClass(el, c) {
	if (c != null) {
		let cl = el.classList;
		!cl.contains(c) && cl.add(c);
	}
}
function remClass(el, c) {
	let cl = el.classList;
	cl.contains(c) && cl.remove(c);
}
function setStylePx(el, name, value) {
	el.style[name] = value + "px";
}
function placeTag(tag, cls, targ, refEl) {
	let el = doc.createElement(tag);
	if (cls != null) addClass(el, cls);
	if (targ != null) targ.insertBefore(el, refEl);
	return el;
}
function placeDiv(cls, targ) {
	return placeTag("div", cls, targ);
}
var xformCache = /* @__PURE__ */ new WeakMap();
function elTrans(el, xPos, yPos, xMax, yMax) {
	let xform = "translate(" + xPos + "px," + yPos + "px)";
	if (xform != xformCache.get(el)) {
		el.style.transform = xform;
		xformCache.set(el, xform);
		if (xPos < 0 || yPos < 0 || xPos > xMax || yPos > yMax) addClass(el, OFF);
		else remClass(el, OFF);
	}
}
var colorCache = /* @__PURE__ */ new WeakMap();
function elColor(el, background, borderColor) {
	let newColor = background + borderColor;
	if (newColor != colorCache.get(el)) {
		colorCache.set(el, newColor);
		el.style.background = background;
		el.style.borderColor = borderColor;
	}
}
var sizeCache = /* @__PURE__ */ new WeakMap();
function elSize(el, newWid, newHgt, centered) {
	let newSize = newWid + "" + newHgt;
	if (newSize != sizeCache.get(el)) {
		sizeCache.set(el, newSize);
		el.style.height = newHgt + "px";
		el.style.width = newWid + "px";
		el.style.marginLeft = centered ? -newWid / 2 + "px" : 0;
		el.style.marginTop = centered ? -newHgt / 2 + "px" : 0;
	}
}
var evOpts = { passive: true };
var evOpts2 = {
	...evOpts,
	capture: true
};
function on(ev, el, cb, capt) {
	el.addEventListener(ev, cb, capt ? evOpts2 : evOpts);
}
function off(ev, el, cb, capt) {
	el.removeEventListener(ev, cb, evOpts);
}
domEnv && setPxRatio();
function closestIdx(num, arr, lo, hi) {
	let mid;
	lo = lo || 0;
	hi = hi || arr.length - 1;
	let bitwise = hi <= 2147483647;
	while (hi - lo > 1) {
		mid = bitwise ? lo + hi >> 1 : floor$1((lo + hi) / 2);
		if (arr[mid] < num) lo = mid;
		else hi = mid;
	}
	if (num - arr[lo] <= arr[hi] - num) return lo;
	return hi;
}
function makeIndexOfs(predicate) {
	let indexOfs = (data, _i0, _i1) => {
		let i0 = -1;
		let i1 = -1;
		for (let i = _i0; i <= _i1; i++) if (predicate(data[i])) {
			i0 = i;
			break;
		}
		for (let i = _i1; i >= _i0; i--) if (predicate(data[i])) {
			i1 = i;
			break;
		}
		return [i0, i1];
	};
	return indexOfs;
}
var notNullish = (v) => v != null;
var isPositive = (v) => v != null && v > 0;
var nonNullIdxs = makeIndexOfs(notNullish);
var positiveIdxs = makeIndexOfs(isPositive);
function getMinMax(data, _i0, _i1, sorted = 0, log = false) {
	let getEdgeIdxs = log ? positiveIdxs : nonNullIdxs;
	let predicate = log ? isPositive : notNullish;
	[_i0, _i1] = getEdgeIdxs(data, _i0, _i1);
	let _min = data[_i0];
	let _max = data[_i0];
	if (_i0 > -1) {
		if (sorted == 1) {
			_min = data[_i0];
			_max = data[_i1];
		} else if (sorted == -1) {
			_min = data[_i1];
			_max = data[_i0];
		} else for (let i = _i0; i <= _i1; i++) {
			let v = data[i];
			if (predicate(v)) {
				if (v < _min) _min = v;
				else if (v > _max) _max = v;
			}
		}
	}
	return [_min ?? inf, _max ?? -inf];
}
function rangeLog(min, max, base, fullMags) {
	let minSign = sign(min);
	let maxSign = sign(max);
	if (min == max) {
		if (minSign == -1) {
			min *= base;
			max /= base;
		} else {
			min /= base;
			max *= base;
		}
	}
	let logFn = base == 10 ? log10 : log2;
	let growMinAbs = minSign == 1 ? floor$1 : ceil;
	let growMaxAbs = maxSign == 1 ? ceil : floor$1;
	let minExp = growMinAbs(logFn(abs(min)));
	let maxExp = growMaxAbs(logFn(abs(max)));
	let minIncr = pow(base, minExp);
	let maxIncr = pow(base, maxExp);
	if (base == 10) {
		if (minExp < 0) minIncr = roundDec(minIncr, -minExp);
		if (maxExp < 0) maxIncr = roundDec(maxIncr, -maxExp);
	}
	if (fullMags || base == 2) {
		min = minIncr * minSign;
		max = maxIncr * maxSign;
	} else {
		min = incrRoundDn(min, minIncr);
		max = incrRoundUp(max, maxIncr);
	}
	return [min, max];
}
function rangeAsinh(min, max, base, fullMags) {
	let minMax = rangeLog(min, max, base, fullMags);
	if (min == 0) minMax[0] = 0;
	if (max == 0) minMax[1] = 0;
	return minMax;
}
var rangePad = .1;
var autoRangePart = {
	mode: 3,
	pad: rangePad
};
var _eqRangePart = {
	pad: 0,
	soft: null,
	mode: 0
};
var _eqRange = {
	min: _eqRangePart,
	max: _eqRangePart
};
function rangeNum(_min, _max, mult, extra) {
	if (isObj(mult)) return _rangeNum(_min, _max, mult);
	_eqRangePart.pad = mult;
	_eqRangePart.soft = extra ? 0 : null;
	_eqRangePart.mode = extra ? 3 : 0;
	return _rangeNum(_min, _max, _eqRange);
}
function ifNull(lh, rh) {
	return lh == null ? rh : lh;
}
function hasData(data, idx0, idx1) {
	idx0 = ifNull(idx0, 0);
	idx1 = ifNull(idx1, data.length - 1);
	while (idx0 <= idx1) {
		if (data[idx0] != null) return true;
		idx0++;
	}
	return false;
}
function _rangeNum(_min, _max, cfg) {
	let cmin = cfg.min;
	let cmax = cfg.max;
	let padMin = ifNull(cmin.pad, 0);
	let padMax = ifNull(cmax.pad, 0);
	let hardMin = ifNull(cmin.hard, -inf);
	let hardMax = ifNull(cmax.hard, inf);
	let softMin = ifNull(cmin.soft, inf);
	let softMax = ifNull(cmax.soft, -inf);
	let softMinMode = ifNull(cmin.mode, 0);
	let softMaxMode = ifNull(cmax.mode, 0);
	let delta = _max - _min;
	let deltaMag = log10(delta);
	let scalarMax = max(abs(_min), abs(_max));
	let scalarMagDelta = abs(log10(scalarMax) - deltaMag);
	if (delta < 1e-24 || scalarMagDelta > 10) {
		delta = 0;
		if (_min == 0 || _max == 0) {
			delta = 1e-24;
			if (softMinMode == 2 && softMin != inf) padMin = 0;
			if (softMaxMode == 2 && softMax != -inf) padMax = 0;
		}
	}
	let nonZeroDelta = delta || scalarMax || 1e3;
	let base = pow(10, floor$1(log10(nonZeroDelta)));
	let _newMin = roundDec(incrRoundDn(_min - nonZeroDelta * (delta == 0 ? _min == 0 ? .1 : 1 : padMin), base / 10), 24);
	let _softMin = _min >= softMin && (softMinMode == 1 || softMinMode == 3 && _newMin <= softMin || softMinMode == 2 && _newMin >= softMin) ? softMin : inf;
	let minLim = max(hardMin, _newMin < _softMin && _min >= _softMin ? _softMin : min(_softMin, _newMin));
	let _newMax = roundDec(incrRoundUp(_max + nonZeroDelta * (delta == 0 ? _max == 0 ? .1 : 1 : padMax), base / 10), 24);
	let _softMax = _max <= softMax && (softMaxMode == 1 || softMaxMode == 3 && _newMax >= softMax || softMaxMode == 2 && _newMax <= softMax) ? softMax : -inf;
	let maxLim = min(hardMax, _newMax > _softMax && _max <= _softMax ? _softMax : max(_softMax, _newMax));
	if (minLim == maxLim && minLim == 0) maxLim = 100;
	return [minLim, maxLim];
}
var numFormatter = new Intl.NumberFormat(domEnv ? nav.language : "en-US");
var fmtNum = (val) => numFormatter.format(val);
var M = Math;
var PI = M.PI;
var abs = M.abs;
var floor$1 = M.floor;
var round = M.round;
var ceil = M.ceil;
var min = M.min;
var max = M.max;
var pow = M.pow;
var sign = M.sign;
var log10 = M.log10;
var log2 = M.log2;
var sinh = (v, linthresh = 1) => M.sinh(v) * linthresh;
var asinh = (v, linthresh = 1) => M.asinh(v / linthresh);
var inf = Infinity;
function numIntDigits(x) {
	return (log10((x ^ x >> 31) - (x >> 31)) | 0) + 1;
}
function clamp(num, _min, _max) {
	return min(max(num, _min), _max);
}
function isFn(v) {
	return typeof v == "function";
}
function fnOrSelf(v) {
	return isFn(v) ? v : () => v;
}
var noop = () => {};
var retArg0 = (_0) => _0;
var retArg1 = (_0, _1) => _1;
var retNull = (_) => null;
var retTrue = (_) => true;
var retEq = (a, b) => a == b;
var regex6 = /\.\d*?(?=9{6,}|0{6,})/gm;
var fixFloat = (val) => {
	if (isInt(val) || fixedDec.has(val)) return val;
	const str = `${val}`;
	const match = str.match(regex6);
	if (match == null) return val;
	let len = match[0].length - 1;
	if (str.indexOf("e-") != -1) {
		let [num, exp] = str.split("e");
		return +`${fixFloat(num)}e${exp}`;
	}
	return roundDec(val, len);
};
function incrRound(num, incr) {
	return fixFloat(roundDec(fixFloat(num / incr)) * incr);
}
function incrRoundUp(num, incr) {
	return fixFloat(ceil(fixFloat(num / incr)) * incr);
}
function incrRoundDn(num, incr) {
	return fixFloat(floor$1(fixFloat(num / incr)) * incr);
}
function roundDec(val, dec = 0) {
	if (isInt(val)) return val;
	let p = 10 ** dec;
	return round(val * p * (1 + Number.EPSILON)) / p;
}
var fixedDec = /* @__PURE__ */ new Map();
function guessDec(num) {
	return (("" + num).split(".")[1] || "").length;
}
function genIncrs(base, minExp, maxExp, mults) {
	let incrs = [];
	let multDec = mults.map(guessDec);
	for (let exp = minExp; exp < maxExp; exp++) {
		let expa = abs(exp);
		let mag = roundDec(pow(base, exp), expa);
		for (let i = 0; i < mults.length; i++) {
			let _incr = base == 10 ? +`${mults[i]}e${exp}` : mults[i] * mag;
			let dec = (exp >= 0 ? 0 : expa) + (exp >= multDec[i] ? 0 : multDec[i]);
			let incr = base == 10 ? _incr : roundDec(_incr, dec);
			incrs.push(incr);
			fixedDec.set(incr, dec);
		}
	}
	return incrs;
}
var EMPTY_OBJ = {};
var EMPTY_ARR = [];
var nullNullTuple = [null, null];
var isArr = Array.isArray;
var isInt = Number.isInteger;
var isUndef = (v) => v === void 0;
function isStr(v) {
	return typeof v == "string";
}
function isObj(v) {
	let is = false;
	if (v != null) {
		let c = v.constructor;
		is = c == null || c == Object;
	}
	return is;
}
function fastIsObj(v) {
	return v != null && typeof v == "object";
}
var TypedArray = Object.getPrototypeOf(Uint8Array);
var __proto__ = "__proto__";
function copy(o, _isObj = isObj) {
	let out;
	if (isArr(o)) {
		let val = o.find((v) => v != null);
		if (isArr(val) || _isObj(val)) {
			out = Array(o.length);
			for (let i = 0; i < o.length; i++) out[i] = copy(o[i], _isObj);
		} else out = o.slice();
	} else if (o instanceof TypedArray) out = o.slice();
	else if (_isObj(o)) {
		out = {};
		for (let k in o) if (k != __proto__) out[k] = copy(o[k], _isObj);
	} else out = o;
	return out;
}
function assign(targ) {
	let args = arguments;
	for (let i = 1; i < args.length; i++) {
		let src = args[i];
		for (let key in src) if (key != __proto__) {
			if (isObj(targ[key])) assign(targ[key], copy(src[key]));
			else targ[key] = copy(src[key]);
		}
	}
	return targ;
}
var NULL_REMOVE = 0;
var NULL_RETAIN = 1;
var NULL_EXPAND = 2;
function nullExpand(yVals, nullIdxs, alignedLen) {
	for (let i = 0, xi, lastNullIdx = -1; i < nullIdxs.length; i++) {
		let nullIdx = nullIdxs[i];
		if (nullIdx > lastNullIdx) {
			xi = nullIdx - 1;
			while (xi >= 0 && yVals[xi] == null) yVals[xi--] = null;
			xi = nullIdx + 1;
			while (xi < alignedLen && yVals[xi] == null) yVals[lastNullIdx = xi++] = null;
		}
	}
}
function join(tables, nullModes) {
	if (allHeadersSame(tables)) {
		let table = tables[0].slice();
		for (let i = 1; i < tables.length; i++) table.push(...tables[i].slice(1));
		if (!isAsc(table[0])) table = sortCols(table);
		return table;
	}
	let xVals = /* @__PURE__ */ new Set();
	for (let ti = 0; ti < tables.length; ti++) {
		let xs = tables[ti][0];
		let len = xs.length;
		for (let i = 0; i < len; i++) xVals.add(xs[i]);
	}
	let data = [Array.from(xVals).sort((a, b) => a - b)];
	let alignedLen = data[0].length;
	let xIdxs = /* @__PURE__ */ new Map();
	for (let i = 0; i < alignedLen; i++) xIdxs.set(data[0][i], i);
	for (let ti = 0; ti < tables.length; ti++) {
		let t = tables[ti];
		let xs = t[0];
		for (let si = 1; si < t.length; si++) {
			let ys = t[si];
			let yVals = Array(alignedLen).fill(void 0);
			let nullMode = nullModes ? nullModes[ti][si] : NULL_RETAIN;
			let nullIdxs = [];
			for (let i = 0; i < ys.length; i++) {
				let yVal = ys[i];
				let alignedIdx = xIdxs.get(xs[i]);
				if (yVal === null) {
					if (nullMode != NULL_REMOVE) {
						yVals[alignedIdx] = yVal;
						if (nullMode == NULL_EXPAND) nullIdxs.push(alignedIdx);
					}
				} else yVals[alignedIdx] = yVal;
			}
			nullExpand(yVals, nullIdxs, alignedLen);
			data.push(yVals);
		}
	}
	return data;
}
var microTask = typeof queueMicrotask == "undefined" ? (fn) => Promise.resolve().then(fn) : queueMicrotask;
function sortCols(table) {
	let head = table[0];
	let rlen = head.length;
	let idxs = Array(rlen);
	for (let i = 0; i < idxs.length; i++) idxs[i] = i;
	idxs.sort((i0, i1) => head[i0] - head[i1]);
	let table2 = [];
	for (let i = 0; i < table.length; i++) {
		let row = table[i];
		let row2 = Array(rlen);
		for (let j = 0; j < rlen; j++) row2[j] = row[idxs[j]];
		table2.push(row2);
	}
	return table2;
}
function allHeadersSame(tables) {
	let vals0 = tables[0][0];
	let len0 = vals0.length;
	for (let i = 1; i < tables.length; i++) {
		let vals1 = tables[i][0];
		if (vals1.length != len0) return false;
		if (vals1 != vals0) {
			for (let j = 0; j < len0; j++) if (vals1[j] != vals0[j]) return false;
		}
	}
	return true;
}
function isAsc(vals, samples = 100) {
	const len = vals.length;
	if (len <= 1) return true;
	let firstIdx = 0;
	let lastIdx = len - 1;
	while (firstIdx <= lastIdx && vals[firstIdx] == null) firstIdx++;
	while (lastIdx >= firstIdx && vals[lastIdx] == null) lastIdx--;
	if (lastIdx <= firstIdx) return true;
	const stride = max(1, floor$1((lastIdx - firstIdx + 1) / samples));
	for (let prevVal = vals[firstIdx], i = firstIdx + stride; i <= lastIdx; i += stride) {
		const v = vals[i];
		if (v != null) {
			if (v <= prevVal) return false;
			prevVal = v;
		}
	}
	return true;
}
var months = [
	"January",
	"February",
	"March",
	"April",
	"May",
	"June",
	"July",
	"August",
	"September",
	"October",
	"November",
	"December"
];
var days = [
	"Sunday",
	"Monday",
	"Tuesday",
	"Wednesday",
	"Thursday",
	"Friday",
	"Saturday"
];
function slice3(str) {
	return str.slice(0, 3);
}
var days3 = days.map(slice3);
var engNames = {
	MMMM: months,
	MMM: months.map(slice3),
	WWWW: days,
	WWW: days3
};
function zeroPad2(int) {
	return (int < 10 ? "0" : "") + int;
}
function zeroPad3(int) {
	return (int < 10 ? "00" : int < 100 ? "0" : "") + int;
}
var subs = {
	YYYY: (d) => d.getFullYear(),
	YY: (d) => (d.getFullYear() + "").slice(2),
	MMMM: (d, names) => names.MMMM[d.getMonth()],
	MMM: (d, names) => names.MMM[d.getMonth()],
	MM: (d) => zeroPad2(d.getMonth() + 1),
	M: (d) => d.getMonth() + 1,
	DD: (d) => zeroPad2(d.getDate()),
	D: (d) => d.getDate(),
	WWWW: (d, names) => names.WWWW[d.getDay()],
	WWW: (d, names) => names.WWW[d.getDay()],
	HH: (d) => zeroPad2(d.getHours()),
	H: (d) => d.getHours(),
	h: (d) => {
		let h = d.getHours();
		return h == 0 ? 12 : h > 12 ? h - 12 : h;
	},
	AA: (d) => d.getHours() >= 12 ? "PM" : "AM",
	aa: (d) => d.getHours() >= 12 ? "pm" : "am",
	a: (d) => d.getHours() >= 12 ? "p" : "a",
	mm: (d) => zeroPad2(d.getMinutes()),
	m: (d) => d.getMinutes(),
	ss: (d) => zeroPad2(d.getSeconds()),
	s: (d) => d.getSeconds(),
	fff: (d) => zeroPad3(d.getMilliseconds())
};
function fmtDate(tpl, names) {
	names = names || engNames;
	let parts = [];
	let R = /\{([a-z]+)\}|[^{]+/gi, m;
	while (m = R.exec(tpl)) parts.push(m[0][0] == "{" ? subs[m[1]] : m[0]);
	return (d) => {
		let out = "";
		for (let i = 0; i < parts.length; i++) out += typeof parts[i] == "string" ? parts[i] : parts[i](d, names);
		return out;
	};
}
var localTz = new Intl.DateTimeFormat().resolvedOptions().timeZone;
function tzDate(date, tz) {
	let date2;
	if (tz == "UTC" || tz == "Etc/UTC") date2 = /* @__PURE__ */ new Date(+date + date.getTimezoneOffset() * 6e4);
	else if (tz == localTz) date2 = date;
	else {
		date2 = new Date(date.toLocaleString("en-US", { timeZone: tz }));
		date2.setMilliseconds(date.getMilliseconds());
	}
	return date2;
}
var onlyWhole = (v) => v % 1 == 0;
var allMults = [
	1,
	2,
	2.5,
	5
];
var decIncrs = genIncrs(10, -32, 0, allMults);
var oneIncrs = genIncrs(10, 0, 32, allMults);
var wholeIncrs = oneIncrs.filter(onlyWhole);
var numIncrs = decIncrs.concat(oneIncrs);
var NL = "\n";
var yyyy = "{YYYY}";
var NLyyyy = NL + yyyy;
var md = "{M}/{D}";
var NLmd = NL + md;
var NLmdyy = NLmd + "/{YY}";
var aa = "{aa}";
var hmmaa = "{h}:{mm}" + aa;
var NLhmmaa = NL + hmmaa;
var ss = ":{ss}";
var _ = null;
function genTimeStuffs(ms) {
	let s = ms * 1e3, m = s * 60, h = m * 60, d = h * 24, mo = d * 30, y = d * 365;
	let timeIncrs = (ms == 1 ? genIncrs(10, 0, 3, allMults).filter(onlyWhole) : genIncrs(10, -3, 0, allMults)).concat([
		s,
		s * 5,
		s * 10,
		s * 15,
		s * 30,
		m,
		m * 5,
		m * 10,
		m * 15,
		m * 30,
		h,
		h * 2,
		h * 3,
		h * 4,
		h * 6,
		h * 8,
		h * 12,
		d,
		d * 2,
		d * 3,
		d * 4,
		d * 5,
		d * 6,
		d * 7,
		d * 8,
		d * 9,
		d * 10,
		d * 15,
		mo,
		mo * 2,
		mo * 3,
		mo * 4,
		mo * 6,
		y,
		y * 2,
		y * 5,
		y * 10,
		y * 25,
		y * 50,
		y * 100
	]);
	const _timeAxisStamps = [
		[
			y,
			yyyy,
			_,
			_,
			_,
			_,
			_,
			_,
			1
		],
		[
			d * 28,
			"{MMM}",
			NLyyyy,
			_,
			_,
			_,
			_,
			_,
			1
		],
		[
			d,
			md,
			NLyyyy,
			_,
			_,
			_,
			_,
			_,
			1
		],
		[
			h,
			"{h}" + aa,
			NLmdyy,
			_,
			NLmd,
			_,
			_,
			_,
			1
		],
		[
			m,
			hmmaa,
			NLmdyy,
			_,
			NLmd,
			_,
			_,
			_,
			1
		],
		[
			s,
			ss,
			NLmdyy + " " + hmmaa,
			_,
			NLmd + " " + hmmaa,
			_,
			NLhmmaa,
			_,
			1
		],
		[
			ms,
			ss + ".{fff}",
			NLmdyy + " " + hmmaa,
			_,
			NLmd + " " + hmmaa,
			_,
			NLhmmaa,
			_,
			1
		]
	];
	function timeAxisSplits(tzDate) {
		return (self, axisIdx, scaleMin, scaleMax, foundIncr, foundSpace) => {
			let splits = [];
			let isYr = foundIncr >= y;
			let isMo = foundIncr >= mo && foundIncr < y;
			let minDate = tzDate(scaleMin);
			let minDateTs = roundDec(minDate * ms, 3);
			let minMin = mkDate(minDate.getFullYear(), isYr ? 0 : minDate.getMonth(), isMo || isYr ? 1 : minDate.getDate());
			let minMinTs = roundDec(minMin * ms, 3);
			if (isMo || isYr) {
				let moIncr = isMo ? foundIncr / mo : 0;
				let yrIncr = isYr ? foundIncr / y : 0;
				let split = minDateTs == minMinTs ? minDateTs : roundDec(mkDate(minMin.getFullYear() + yrIncr, minMin.getMonth() + moIncr, 1) * ms, 3);
				let splitDate = new Date(round(split / ms));
				let baseYear = splitDate.getFullYear();
				let baseMonth = splitDate.getMonth();
				for (let i = 0; split <= scaleMax; i++) {
					let next = mkDate(baseYear + yrIncr * i, baseMonth + moIncr * i, 1);
					let offs = next - tzDate(roundDec(next * ms, 3));
					split = roundDec((+next + offs) * ms, 3);
					if (split <= scaleMax) splits.push(split);
				}
			} else {
				let incr0 = foundIncr >= d ? d : foundIncr;
				let split = minMinTs + (floor$1(scaleMin) - floor$1(minDateTs)) + incrRoundUp(minDateTs - minMinTs, incr0);
				splits.push(split);
				let date0 = tzDate(split);
				let prevHour = date0.getHours() + date0.getMinutes() / m + date0.getSeconds() / h;
				let incrHours = foundIncr / h;
				let pctSpace = foundSpace / self.axes[axisIdx]._space;
				while (1) {
					split = roundDec(split + foundIncr, ms == 1 ? 0 : 3);
					if (split > scaleMax) break;
					if (incrHours > 1) {
						let expectedHour = floor$1(roundDec(prevHour + incrHours, 6)) % 24;
						let dstShift = tzDate(split).getHours() - expectedHour;
						if (dstShift > 1) dstShift = -1;
						split -= dstShift * h;
						prevHour = (prevHour + incrHours) % 24;
						let prevSplit = splits[splits.length - 1];
						if (roundDec((split - prevSplit) / foundIncr, 3) * pctSpace >= .7) splits.push(split);
					} else splits.push(split);
				}
			}
			return splits;
		};
	}
	return [
		timeIncrs,
		_timeAxisStamps,
		timeAxisSplits
	];
}
var [timeIncrsMs, _timeAxisStampsMs, timeAxisSplitsMs] = genTimeStuffs(1);
var [timeIncrsS, _timeAxisStampsS, timeAxisSplitsS] = genTimeStuffs(.001);
genIncrs(2, -53, 53, [1]);
function timeAxisStamps(stampCfg, fmtDate) {
	return stampCfg.map((s) => s.map((v, i) => i == 0 || i == 8 || v == null ? v : fmtDate(i == 1 || s[8] == 0 ? v : s[1] + v)));
}
function timeAxisVals(tzDate, stamps) {
	return (self, splits, axisIdx, foundSpace, foundIncr) => {
		let s = stamps.find((s) => foundIncr >= s[0]) || stamps[stamps.length - 1];
		let prevYear;
		let prevMnth;
		let prevDate;
		let prevHour;
		let prevMins;
		let prevSecs;
		return splits.map((split) => {
			let date = tzDate(split);
			let newYear = date.getFullYear();
			let newMnth = date.getMonth();
			let newDate = date.getDate();
			let newHour = date.getHours();
			let newMins = date.getMinutes();
			let newSecs = date.getSeconds();
			let stamp = newYear != prevYear && s[2] || newMnth != prevMnth && s[3] || newDate != prevDate && s[4] || newHour != prevHour && s[5] || newMins != prevMins && s[6] || newSecs != prevSecs && s[7] || s[1];
			prevYear = newYear;
			prevMnth = newMnth;
			prevDate = newDate;
			prevHour = newHour;
			prevMins = newMins;
			prevSecs = newSecs;
			return stamp(date);
		});
	};
}
function timeAxisVal(tzDate, dateTpl) {
	let stamp = fmtDate(dateTpl);
	return (self, splits, axisIdx, foundSpace, foundIncr) => splits.map((split) => stamp(tzDate(split)));
}
function mkDate(y, m, d) {
	return new Date(y, m, d);
}
function timeSeriesStamp(stampCfg, fmtDate) {
	return fmtDate(stampCfg);
}
var _timeSeriesStamp = "{YYYY}-{MM}-{DD} {h}:{mm}{aa}";
function timeSeriesVal(tzDate, stamp) {
	return (self, val, seriesIdx, dataIdx) => dataIdx == null ? LEGEND_DISP : stamp(tzDate(val));
}
function legendStroke(self, seriesIdx) {
	let s = self.series[seriesIdx];
	return s.width ? s.stroke(self, seriesIdx) : s.points.width ? s.points.stroke(self, seriesIdx) : null;
}
function legendFill(self, seriesIdx) {
	return self.series[seriesIdx].fill(self, seriesIdx);
}
var legendOpts = {
	show: true,
	live: true,
	isolate: false,
	mount: noop,
	markers: {
		show: true,
		width: 2,
		stroke: legendStroke,
		fill: legendFill,
		dash: "solid"
	},
	idx: null,
	idxs: null,
	values: []
};
function cursorPointShow(self, si) {
	let o = self.cursor.points;
	let pt = placeDiv();
	let size = o.size(self, si);
	setStylePx(pt, WIDTH, size);
	setStylePx(pt, HEIGHT, size);
	let mar = size / -2;
	setStylePx(pt, "marginLeft", mar);
	setStylePx(pt, "marginTop", mar);
	let width = o.width(self, si, size);
	width && setStylePx(pt, "borderWidth", width);
	return pt;
}
function cursorPointFill(self, si) {
	let sp = self.series[si].points;
	return sp._fill || sp._stroke;
}
function cursorPointStroke(self, si) {
	let sp = self.series[si].points;
	return sp._stroke || sp._fill;
}
function cursorPointSize(self, si) {
	return self.series[si].points.size;
}
var moveTuple = [0, 0];
function cursorMove(self, mouseLeft1, mouseTop1) {
	moveTuple[0] = mouseLeft1;
	moveTuple[1] = mouseTop1;
	return moveTuple;
}
function filtBtn0(self, targ, handle, onlyTarg = true) {
	return (e) => {
		e.button == 0 && (!onlyTarg || e.target == targ) && handle(e);
	};
}
function filtTarg(self, targ, handle, onlyTarg = true) {
	return (e) => {
		(!onlyTarg || e.target == targ) && handle(e);
	};
}
var cursorOpts = {
	show: true,
	x: true,
	y: true,
	lock: false,
	move: cursorMove,
	points: {
		one: false,
		show: cursorPointShow,
		size: cursorPointSize,
		width: 0,
		stroke: cursorPointStroke,
		fill: cursorPointFill
	},
	bind: {
		mousedown: filtBtn0,
		mouseup: filtBtn0,
		click: filtBtn0,
		dblclick: filtBtn0,
		mousemove: filtTarg,
		mouseleave: filtTarg,
		mouseenter: filtTarg
	},
	drag: {
		setScale: true,
		x: true,
		y: false,
		dist: 0,
		uni: null,
		click: (self, e) => {
			e.stopPropagation();
			e.stopImmediatePropagation();
		},
		_x: false,
		_y: false
	},
	focus: {
		dist: (self, seriesIdx, dataIdx, valPos, curPos) => valPos - curPos,
		prox: -1,
		bias: 0
	},
	hover: {
		skip: [void 0],
		prox: null,
		bias: 0
	},
	left: -10,
	top: -10,
	idx: null,
	dataIdx: null,
	idxs: null,
	event: null
};
var axisLines = {
	show: true,
	stroke: "rgba(0,0,0,0.07)",
	width: 2
};
var grid = assign({}, axisLines, { filter: retArg1 });
var ticks = assign({}, grid, { size: 10 });
var border = assign({}, axisLines, { show: false });
var font = "12px system-ui, -apple-system, \"Segoe UI\", Roboto, \"Helvetica Neue\", Arial, \"Noto Sans\", sans-serif, \"Apple Color Emoji\", \"Segoe UI Emoji\", \"Segoe UI Symbol\", \"Noto Color Emoji\"";
var labelFont = "bold " + font;
var lineGap = 1.5;
var xAxisOpts = {
	show: true,
	scale: "x",
	stroke: hexBlack,
	space: 50,
	gap: 5,
	alignTo: 1,
	size: 50,
	labelGap: 0,
	labelSize: 30,
	labelFont,
	side: 2,
	grid,
	ticks,
	border,
	font,
	lineGap,
	rotate: 0
};
var numSeriesLabel = "Value";
var timeSeriesLabel = "Time";
var xSeriesOpts = {
	show: true,
	scale: "x",
	auto: false,
	sorted: 1,
	min: inf,
	max: -Infinity,
	idxs: []
};
function numAxisVals(self, splits, axisIdx, foundSpace, foundIncr) {
	return splits.map((v) => v == null ? "" : fmtNum(v));
}
function numAxisSplits(self, axisIdx, scaleMin, scaleMax, foundIncr, foundSpace, forceMin) {
	let splits = [];
	let numDec = fixedDec.get(foundIncr) || 0;
	scaleMin = forceMin ? scaleMin : roundDec(incrRoundUp(scaleMin, foundIncr), numDec);
	for (let val = scaleMin; val <= scaleMax; val = roundDec(val + foundIncr, numDec)) splits.push(Object.is(val, -0) ? 0 : val);
	return splits;
}
function logAxisSplits(self, axisIdx, scaleMin, scaleMax, foundIncr, foundSpace, forceMin) {
	const splits = [];
	const logBase = self.scales[self.axes[axisIdx].scale].log;
	foundIncr = pow(logBase, floor$1((logBase == 10 ? log10 : log2)(scaleMin)));
	if (logBase == 10) foundIncr = numIncrs[closestIdx(foundIncr, numIncrs)];
	let split = scaleMin;
	let nextMagIncr = foundIncr * logBase;
	if (logBase == 10) nextMagIncr = numIncrs[closestIdx(nextMagIncr, numIncrs)];
	do {
		splits.push(split);
		split = split + foundIncr;
		if (logBase == 10 && !fixedDec.has(split)) split = roundDec(split, fixedDec.get(foundIncr));
		if (split >= nextMagIncr) {
			foundIncr = split;
			nextMagIncr = foundIncr * logBase;
			if (logBase == 10) nextMagIncr = numIncrs[closestIdx(nextMagIncr, numIncrs)];
		}
	} while (split <= scaleMax);
	return splits;
}
function asinhAxisSplits(self, axisIdx, scaleMin, scaleMax, foundIncr, foundSpace, forceMin) {
	let linthresh = self.scales[self.axes[axisIdx].scale].asinh;
	let posSplits = scaleMax > linthresh ? logAxisSplits(self, axisIdx, max(linthresh, scaleMin), scaleMax, foundIncr) : [linthresh];
	let zero = scaleMax >= 0 && scaleMin <= 0 ? [0] : [];
	return (scaleMin < -linthresh ? logAxisSplits(self, axisIdx, max(linthresh, -scaleMax), -scaleMin, foundIncr) : [linthresh]).reverse().map((v) => -v).concat(zero, posSplits);
}
var RE_ALL = /./;
var RE_12357 = /[12357]/;
var RE_125 = /[125]/;
var RE_1 = /1/;
var _filt = (splits, distr, re, keepMod) => splits.map((v, i) => distr == 4 && v == 0 || i % keepMod == 0 && re.test(v.toExponential()[v < 0 ? 1 : 0]) ? v : null);
function log10AxisValsFilt(self, splits, axisIdx, foundSpace, foundIncr) {
	let axis = self.axes[axisIdx];
	let scaleKey = axis.scale;
	let sc = self.scales[scaleKey];
	let valToPos = self.valToPos;
	let minSpace = axis._space;
	let _10 = valToPos(10, scaleKey);
	let re = valToPos(9, scaleKey) - _10 >= minSpace ? RE_ALL : valToPos(7, scaleKey) - _10 >= minSpace ? RE_12357 : valToPos(5, scaleKey) - _10 >= minSpace ? RE_125 : RE_1;
	if (re == RE_1) {
		let magSpace = abs(valToPos(1, scaleKey) - _10);
		if (magSpace < minSpace) return _filt(splits.slice().reverse(), sc.distr, re, ceil(minSpace / magSpace)).reverse();
	}
	return _filt(splits, sc.distr, re, 1);
}
function log2AxisValsFilt(self, splits, axisIdx, foundSpace, foundIncr) {
	let axis = self.axes[axisIdx];
	let scaleKey = axis.scale;
	let minSpace = axis._space;
	let valToPos = self.valToPos;
	let magSpace = abs(valToPos(1, scaleKey) - valToPos(2, scaleKey));
	if (magSpace < minSpace) return _filt(splits.slice().reverse(), 3, RE_ALL, ceil(minSpace / magSpace)).reverse();
	return splits;
}
function numSeriesVal(self, val, seriesIdx, dataIdx) {
	return dataIdx == null ? LEGEND_DISP : val == null ? "" : fmtNum(val);
}
var yAxisOpts = {
	show: true,
	scale: "y",
	stroke: hexBlack,
	space: 30,
	gap: 5,
	alignTo: 1,
	size: 50,
	labelGap: 0,
	labelSize: 30,
	labelFont,
	side: 3,
	grid,
	ticks,
	border,
	font,
	lineGap,
	rotate: 0
};
function ptDia(width, mult) {
	return roundDec((3 + (width || 1) * 2) * mult, 3);
}
function seriesPointsShow(self, si) {
	let { scale, idxs } = self.series[0];
	let xData = self._data[0];
	let p0 = self.valToPos(xData[idxs[0]], scale, true);
	let maxPts = abs(self.valToPos(xData[idxs[1]], scale, true) - p0) / (self.series[si].points.space * pxRatio);
	return idxs[1] - idxs[0] <= maxPts;
}
var facet = {
	scale: null,
	auto: true,
	sorted: 0,
	min: inf,
	max: -Infinity
};
var gaps = (self, seriesIdx, idx0, idx1, nullGaps) => nullGaps;
var xySeriesOpts = {
	show: true,
	auto: true,
	sorted: 0,
	gaps,
	alpha: 1,
	facets: [assign({}, facet, { scale: "x" }), assign({}, facet, { scale: "y" })]
};
var ySeriesOpts = {
	scale: "y",
	auto: true,
	sorted: 0,
	show: true,
	spanGaps: false,
	gaps,
	alpha: 1,
	points: {
		show: seriesPointsShow,
		filter: null
	},
	values: null,
	min: inf,
	max: -Infinity,
	idxs: [],
	path: null,
	clip: null
};
function clampScale(self, val, scaleMin, scaleMax, scaleKey) {
	return scaleMin / 10;
}
var xScaleOpts = {
	time: FEAT_TIME,
	auto: true,
	distr: 1,
	log: 10,
	asinh: 1,
	min: null,
	max: null,
	dir: 1,
	ori: 0
};
var yScaleOpts = assign({}, xScaleOpts, {
	time: false,
	ori: 1
});
var syncs = {};
function _sync(key, opts) {
	let s = syncs[key];
	if (!s) {
		s = {
			key,
			plots: [],
			sub(plot) {
				s.plots.push(plot);
			},
			unsub(plot) {
				s.plots = s.plots.filter((c) => c != plot);
			},
			pub(type, self, x, y, w, h, i) {
				for (let j = 0; j < s.plots.length; j++) s.plots[j] != self && s.plots[j].pub(type, self, x, y, w, h, i);
			}
		};
		if (key != null) syncs[key] = s;
	}
	return s;
}
var BAND_CLIP_FILL = 1;
var BAND_CLIP_STROKE = 2;
function orient(u, seriesIdx, cb) {
	const mode = u.mode;
	const series = u.series[seriesIdx];
	const data = mode == 2 ? u._data[seriesIdx] : u._data;
	const scales = u.scales;
	const bbox = u.bbox;
	let dx = data[0], dy = mode == 2 ? data[1] : data[seriesIdx], sx = mode == 2 ? scales[series.facets[0].scale] : scales[u.series[0].scale], sy = mode == 2 ? scales[series.facets[1].scale] : scales[series.scale], l = bbox.left, t = bbox.top, w = bbox.width, h = bbox.height, H = u.valToPosH, V = u.valToPosV;
	return sx.ori == 0 ? cb(series, dx, dy, sx, sy, H, V, l, t, w, h, moveToH, lineToH, rectH, arcH, bezierCurveToH) : cb(series, dx, dy, sx, sy, V, H, t, l, h, w, moveToV, lineToV, rectV, arcV, bezierCurveToV);
}
function bandFillClipDirs(self, seriesIdx) {
	let fillDir = 0;
	let clipDirs = 0;
	let bands = ifNull(self.bands, EMPTY_ARR);
	for (let i = 0; i < bands.length; i++) {
		let b = bands[i];
		if (b.series[0] == seriesIdx) fillDir = b.dir;
		else if (b.series[1] == seriesIdx) {
			if (b.dir == 1) clipDirs |= 1;
			else clipDirs |= 2;
		}
	}
	return [fillDir, clipDirs == 1 ? -1 : clipDirs == 2 ? 1 : clipDirs == 3 ? 2 : 0];
}
function seriesFillTo(self, seriesIdx, dataMin, dataMax, bandFillDir) {
	let mode = self.mode;
	let series = self.series[seriesIdx];
	let scaleKey = mode == 2 ? series.facets[1].scale : series.scale;
	let scale = self.scales[scaleKey];
	return bandFillDir == -1 ? scale.min : bandFillDir == 1 ? scale.max : scale.distr == 3 ? scale.dir == 1 ? scale.min : scale.max : 0;
}
function clipBandLine(self, seriesIdx, idx0, idx1, strokePath, clipDir) {
	return orient(self, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
		let pxRound = series.pxRound;
		const dir = scaleX.dir * (scaleX.ori == 0 ? 1 : -1);
		const lineTo = scaleX.ori == 0 ? lineToH : lineToV;
		let frIdx, toIdx;
		if (dir == 1) {
			frIdx = idx0;
			toIdx = idx1;
		} else {
			frIdx = idx1;
			toIdx = idx0;
		}
		let x0 = pxRound(valToPosX(dataX[frIdx], scaleX, xDim, xOff));
		let y0 = pxRound(valToPosY(dataY[frIdx], scaleY, yDim, yOff));
		let x1 = pxRound(valToPosX(dataX[toIdx], scaleX, xDim, xOff));
		let yLimit = pxRound(valToPosY(clipDir == 1 ? scaleY.max : scaleY.min, scaleY, yDim, yOff));
		let clip = new Path2D(strokePath);
		lineTo(clip, x1, yLimit);
		lineTo(clip, x0, yLimit);
		lineTo(clip, x0, y0);
		return clip;
	});
}
function clipGaps(gaps, ori, plotLft, plotTop, plotWid, plotHgt) {
	let clip = null;
	if (gaps.length > 0) {
		clip = new Path2D();
		const rect = ori == 0 ? rectH : rectV;
		let prevGapEnd = plotLft;
		for (let i = 0; i < gaps.length; i++) {
			let g = gaps[i];
			if (g[1] > g[0]) {
				let w = g[0] - prevGapEnd;
				w > 0 && rect(clip, prevGapEnd, plotTop, w, plotTop + plotHgt);
				prevGapEnd = g[1];
			}
		}
		let w = plotLft + plotWid - prevGapEnd;
		let maxStrokeWidth = 10;
		w > 0 && rect(clip, prevGapEnd, plotTop - maxStrokeWidth / 2, w, plotTop + plotHgt + maxStrokeWidth);
	}
	return clip;
}
function addGap(gaps, fromX, toX) {
	let prevGap = gaps[gaps.length - 1];
	if (prevGap && prevGap[0] == fromX) prevGap[1] = toX;
	else gaps.push([fromX, toX]);
}
function findGaps(xs, ys, idx0, idx1, dir, pixelForX, align) {
	let gaps = [];
	let len = xs.length;
	for (let i = dir == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += dir) if (ys[i] === null) {
		let fr = i, to = i;
		if (dir == 1) while (++i <= idx1 && ys[i] === null) to = i;
		else while (--i >= idx0 && ys[i] === null) to = i;
		let frPx = pixelForX(xs[fr]);
		let toPx = to == fr ? frPx : pixelForX(xs[to]);
		let fri2 = fr - dir;
		frPx = align <= 0 && fri2 >= 0 && fri2 < len ? pixelForX(xs[fri2]) : frPx;
		let toi2 = to + dir;
		toPx = align >= 0 && toi2 >= 0 && toi2 < len ? pixelForX(xs[toi2]) : toPx;
		if (toPx >= frPx) gaps.push([frPx, toPx]);
	}
	return gaps;
}
function pxRoundGen(pxAlign) {
	return pxAlign == 0 ? retArg0 : pxAlign == 1 ? round : (v) => incrRound(v, pxAlign);
}
function rect(ori) {
	let moveTo = ori == 0 ? moveToH : moveToV;
	let arcTo = ori == 0 ? (p, x1, y1, x2, y2, r) => {
		p.arcTo(x1, y1, x2, y2, r);
	} : (p, y1, x1, y2, x2, r) => {
		p.arcTo(x1, y1, x2, y2, r);
	};
	let rect = ori == 0 ? (p, x, y, w, h) => {
		p.rect(x, y, w, h);
	} : (p, y, x, h, w) => {
		p.rect(x, y, w, h);
	};
	return (p, x, y, w, h, endRad = 0, baseRad = 0) => {
		if (endRad == 0 && baseRad == 0) rect(p, x, y, w, h);
		else {
			endRad = min(endRad, w / 2, h / 2);
			baseRad = min(baseRad, w / 2, h / 2);
			moveTo(p, x + endRad, y);
			arcTo(p, x + w, y, x + w, y + h, endRad);
			arcTo(p, x + w, y + h, x, y + h, baseRad);
			arcTo(p, x, y + h, x, y, baseRad);
			arcTo(p, x, y, x + w, y, endRad);
			p.closePath();
		}
	};
}
var moveToH = (p, x, y) => {
	p.moveTo(x, y);
};
var moveToV = (p, y, x) => {
	p.moveTo(x, y);
};
var lineToH = (p, x, y) => {
	p.lineTo(x, y);
};
var lineToV = (p, y, x) => {
	p.lineTo(x, y);
};
var rectH = rect(0);
var rectV = rect(1);
var arcH = (p, x, y, r, startAngle, endAngle) => {
	p.arc(x, y, r, startAngle, endAngle);
};
var arcV = (p, y, x, r, startAngle, endAngle) => {
	p.arc(x, y, r, startAngle, endAngle);
};
var bezierCurveToH = (p, bp1x, bp1y, bp2x, bp2y, p2x, p2y) => {
	p.bezierCurveTo(bp1x, bp1y, bp2x, bp2y, p2x, p2y);
};
var bezierCurveToV = (p, bp1y, bp1x, bp2y, bp2x, p2y, p2x) => {
	p.bezierCurveTo(bp1x, bp1y, bp2x, bp2y, p2x, p2y);
};
function points$1(opts) {
	return (u, seriesIdx, idx0, idx1, filtIdxs) => {
		return orient(u, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
			let { pxRound, points } = series;
			let moveTo, arc;
			if (scaleX.ori == 0) {
				moveTo = moveToH;
				arc = arcH;
			} else {
				moveTo = moveToV;
				arc = arcV;
			}
			const width = roundDec(points.width * pxRatio, 3);
			let rad = (points.size - points.width) / 2 * pxRatio;
			let dia = roundDec(rad * 2, 3);
			let fill = new Path2D();
			let clip = new Path2D();
			let { left: lft, top, width: wid, height: hgt } = u.bbox;
			rectH(clip, lft - dia, top - dia, wid + dia * 2, hgt + dia * 2);
			const drawPoint = (pi) => {
				if (dataY[pi] != null) {
					let x = pxRound(valToPosX(dataX[pi], scaleX, xDim, xOff));
					let y = pxRound(valToPosY(dataY[pi], scaleY, yDim, yOff));
					moveTo(fill, x + rad, y);
					arc(fill, x, y, rad, 0, PI * 2);
				}
			};
			if (filtIdxs) filtIdxs.forEach(drawPoint);
			else for (let pi = idx0; pi <= idx1; pi++) drawPoint(pi);
			return {
				stroke: width > 0 ? fill : null,
				fill,
				clip,
				flags: 3
			};
		});
	};
}
function _drawAcc(lineTo) {
	return (stroke, accX, minY, maxY, inY, outY) => {
		if (minY != maxY) {
			if (inY != minY && outY != minY) lineTo(stroke, accX, minY);
			if (inY != maxY && outY != maxY) lineTo(stroke, accX, maxY);
			lineTo(stroke, accX, outY);
		}
	};
}
var drawAccH = _drawAcc(lineToH);
var drawAccV = _drawAcc(lineToV);
function linear(opts) {
	const alignGaps = ifNull(opts?.alignGaps, 0);
	return (u, seriesIdx, idx0, idx1) => {
		return orient(u, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
			[idx0, idx1] = nonNullIdxs(dataY, idx0, idx1);
			let pxRound = series.pxRound;
			let pixelForX = (val) => pxRound(valToPosX(val, scaleX, xDim, xOff));
			let pixelForY = (val) => pxRound(valToPosY(val, scaleY, yDim, yOff));
			let lineTo, drawAcc;
			if (scaleX.ori == 0) {
				lineTo = lineToH;
				drawAcc = drawAccH;
			} else {
				lineTo = lineToV;
				drawAcc = drawAccV;
			}
			const dir = scaleX.dir * (scaleX.ori == 0 ? 1 : -1);
			const _paths = {
				stroke: new Path2D(),
				fill: null,
				clip: null,
				band: null,
				gaps: null,
				flags: BAND_CLIP_FILL
			};
			const stroke = _paths.stroke;
			let hasGap = false;
			if (idx1 - idx0 >= xDim * 4) {
				let xForPixel = (pos) => u.posToVal(pos, scaleX.key, true);
				let minY = null, maxY = null, inY, outY, drawnAtX;
				let accX = pixelForX(dataX[dir == 1 ? idx0 : idx1]);
				let idx0px = pixelForX(dataX[idx0]);
				let idx1px = pixelForX(dataX[idx1]);
				let nextAccXVal = xForPixel(dir == 1 ? idx0px + 1 : idx1px - 1);
				for (let i = dir == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += dir) {
					let xVal = dataX[i];
					let x = (dir == 1 ? xVal < nextAccXVal : xVal > nextAccXVal) ? accX : pixelForX(xVal);
					let yVal = dataY[i];
					if (x == accX) {
						if (yVal != null) {
							outY = yVal;
							if (minY == null) {
								lineTo(stroke, x, pixelForY(outY));
								inY = minY = maxY = outY;
							} else if (outY < minY) minY = outY;
							else if (outY > maxY) maxY = outY;
						} else if (yVal === null) hasGap = true;
					} else {
						if (minY != null) drawAcc(stroke, accX, pixelForY(minY), pixelForY(maxY), pixelForY(inY), pixelForY(outY));
						if (yVal != null) {
							outY = yVal;
							lineTo(stroke, x, pixelForY(outY));
							minY = maxY = inY = outY;
						} else {
							minY = maxY = null;
							if (yVal === null) hasGap = true;
						}
						accX = x;
						nextAccXVal = xForPixel(accX + dir);
					}
				}
				if (minY != null && minY != maxY && drawnAtX != accX) drawAcc(stroke, accX, pixelForY(minY), pixelForY(maxY), pixelForY(inY), pixelForY(outY));
			} else for (let i = dir == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += dir) {
				let yVal = dataY[i];
				if (yVal === null) hasGap = true;
				else if (yVal != null) lineTo(stroke, pixelForX(dataX[i]), pixelForY(yVal));
			}
			let [bandFillDir, bandClipDir] = bandFillClipDirs(u, seriesIdx);
			if (series.fill != null || bandFillDir != 0) {
				let fill = _paths.fill = new Path2D(stroke);
				let fillToY = pixelForY(series.fillTo(u, seriesIdx, series.min, series.max, bandFillDir));
				let frX = pixelForX(dataX[idx0]);
				let toX = pixelForX(dataX[idx1]);
				if (dir == -1) [toX, frX] = [frX, toX];
				lineTo(fill, toX, fillToY);
				lineTo(fill, frX, fillToY);
			}
			if (!series.spanGaps) {
				let gaps = [];
				hasGap && gaps.push(...findGaps(dataX, dataY, idx0, idx1, dir, pixelForX, alignGaps));
				_paths.gaps = gaps = series.gaps(u, seriesIdx, idx0, idx1, gaps);
				_paths.clip = clipGaps(gaps, scaleX.ori, xOff, yOff, xDim, yDim);
			}
			if (bandClipDir != 0) _paths.band = bandClipDir == 2 ? [clipBandLine(u, seriesIdx, idx0, idx1, stroke, -1), clipBandLine(u, seriesIdx, idx0, idx1, stroke, 1)] : clipBandLine(u, seriesIdx, idx0, idx1, stroke, bandClipDir);
			return _paths;
		});
	};
}
function stepped(opts) {
	const align = ifNull(opts.align, 1);
	const ascDesc = ifNull(opts.ascDesc, false);
	const alignGaps = ifNull(opts.alignGaps, 0);
	const extend = ifNull(opts.extend, false);
	return (u, seriesIdx, idx0, idx1) => {
		return orient(u, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
			[idx0, idx1] = nonNullIdxs(dataY, idx0, idx1);
			let pxRound = series.pxRound;
			let { left, width } = u.bbox;
			let pixelForX = (val) => pxRound(valToPosX(val, scaleX, xDim, xOff));
			let pixelForY = (val) => pxRound(valToPosY(val, scaleY, yDim, yOff));
			let lineTo = scaleX.ori == 0 ? lineToH : lineToV;
			const _paths = {
				stroke: new Path2D(),
				fill: null,
				clip: null,
				band: null,
				gaps: null,
				flags: BAND_CLIP_FILL
			};
			const stroke = _paths.stroke;
			const dir = scaleX.dir * (scaleX.ori == 0 ? 1 : -1);
			let prevYPos = pixelForY(dataY[dir == 1 ? idx0 : idx1]);
			let firstXPos = pixelForX(dataX[dir == 1 ? idx0 : idx1]);
			let prevXPos = firstXPos;
			let firstXPosExt = firstXPos;
			if (extend && align == -1) {
				firstXPosExt = left;
				lineTo(stroke, firstXPosExt, prevYPos);
			}
			lineTo(stroke, firstXPos, prevYPos);
			for (let i = dir == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += dir) {
				let yVal1 = dataY[i];
				if (yVal1 == null) continue;
				let x1 = pixelForX(dataX[i]);
				let y1 = pixelForY(yVal1);
				if (align == 1) lineTo(stroke, x1, prevYPos);
				else lineTo(stroke, prevXPos, y1);
				lineTo(stroke, x1, y1);
				prevYPos = y1;
				prevXPos = x1;
			}
			let prevXPosExt = prevXPos;
			if (extend && align == 1) {
				prevXPosExt = left + width;
				lineTo(stroke, prevXPosExt, prevYPos);
			}
			let [bandFillDir, bandClipDir] = bandFillClipDirs(u, seriesIdx);
			if (series.fill != null || bandFillDir != 0) {
				let fill = _paths.fill = new Path2D(stroke);
				let fillToY = pixelForY(series.fillTo(u, seriesIdx, series.min, series.max, bandFillDir));
				lineTo(fill, prevXPosExt, fillToY);
				lineTo(fill, firstXPosExt, fillToY);
			}
			if (!series.spanGaps) {
				let gaps = [];
				gaps.push(...findGaps(dataX, dataY, idx0, idx1, dir, pixelForX, alignGaps));
				let halfStroke = series.width * pxRatio / 2;
				let startsOffset = ascDesc || align == 1 ? halfStroke : -halfStroke;
				let endsOffset = ascDesc || align == -1 ? -halfStroke : halfStroke;
				gaps.forEach((g) => {
					g[0] += startsOffset;
					g[1] += endsOffset;
				});
				_paths.gaps = gaps = series.gaps(u, seriesIdx, idx0, idx1, gaps);
				_paths.clip = clipGaps(gaps, scaleX.ori, xOff, yOff, xDim, yDim);
			}
			if (bandClipDir != 0) _paths.band = bandClipDir == 2 ? [clipBandLine(u, seriesIdx, idx0, idx1, stroke, -1), clipBandLine(u, seriesIdx, idx0, idx1, stroke, 1)] : clipBandLine(u, seriesIdx, idx0, idx1, stroke, bandClipDir);
			return _paths;
		});
	};
}
function findColWidth(dataX, dataY, valToPosX, scaleX, xDim, xOff, colWid = inf) {
	if (dataX.length > 1) {
		let prevIdx = null;
		for (let i = 0, minDelta = Infinity; i < dataX.length; i++) if (dataY[i] !== void 0) {
			if (prevIdx != null) {
				let delta = abs(dataX[i] - dataX[prevIdx]);
				if (delta < minDelta) {
					minDelta = delta;
					colWid = abs(valToPosX(dataX[i], scaleX, xDim, xOff) - valToPosX(dataX[prevIdx], scaleX, xDim, xOff));
				}
			}
			prevIdx = i;
		}
	}
	return colWid;
}
function bars(opts) {
	opts = opts || EMPTY_OBJ;
	const size = ifNull(opts.size, [
		.6,
		inf,
		1
	]);
	const align = opts.align || 0;
	const _extraGap = opts.gap || 0;
	let ro = opts.radius;
	ro = ro == null ? [0, 0] : typeof ro == "number" ? [ro, 0] : ro;
	const radiusFn = fnOrSelf(ro);
	const gapFactor = 1 - size[0];
	const _maxWidth = ifNull(size[1], inf);
	const _minWidth = ifNull(size[2], 1);
	const disp = ifNull(opts.disp, EMPTY_OBJ);
	const _each = ifNull(opts.each, (_) => {});
	const { fill: dispFills, stroke: dispStrokes } = disp;
	return (u, seriesIdx, idx0, idx1) => {
		return orient(u, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
			let pxRound = series.pxRound;
			let _align = align;
			let extraGap = _extraGap * pxRatio;
			let maxWidth = _maxWidth * pxRatio;
			let minWidth = _minWidth * pxRatio;
			let valRadius, baseRadius;
			if (scaleX.ori == 0) [valRadius, baseRadius] = radiusFn(u, seriesIdx);
			else [baseRadius, valRadius] = radiusFn(u, seriesIdx);
			const _dirX = scaleX.dir * (scaleX.ori == 0 ? 1 : -1);
			let rect = scaleX.ori == 0 ? rectH : rectV;
			let each = scaleX.ori == 0 ? _each : (u, seriesIdx, i, top, lft, hgt, wid) => {
				_each(u, seriesIdx, i, lft, top, wid, hgt);
			};
			let band = ifNull(u.bands, EMPTY_ARR).find((b) => b.series[0] == seriesIdx);
			let fillDir = band != null ? band.dir : 0;
			let fillTo = series.fillTo(u, seriesIdx, series.min, series.max, fillDir);
			let fillToY = pxRound(valToPosY(fillTo, scaleY, yDim, yOff));
			let xShift, barWid, fullGap, colWid = xDim;
			let strokeWidth = pxRound(series.width * pxRatio);
			let multiPath = false;
			let fillColors = null;
			let fillPaths = null;
			let strokeColors = null;
			let strokePaths = null;
			if (dispFills != null && (strokeWidth == 0 || dispStrokes != null)) {
				multiPath = true;
				fillColors = dispFills.values(u, seriesIdx, idx0, idx1);
				fillPaths = /* @__PURE__ */ new Map();
				new Set(fillColors).forEach((color) => {
					if (color != null) fillPaths.set(color, new Path2D());
				});
				if (strokeWidth > 0) {
					strokeColors = dispStrokes.values(u, seriesIdx, idx0, idx1);
					strokePaths = /* @__PURE__ */ new Map();
					new Set(strokeColors).forEach((color) => {
						if (color != null) strokePaths.set(color, new Path2D());
					});
				}
			}
			let { x0, size } = disp;
			if (x0 != null && size != null) {
				_align = 1;
				dataX = x0.values(u, seriesIdx, idx0, idx1);
				if (x0.unit == 2) dataX = dataX.map((pct) => u.posToVal(xOff + pct * xDim, scaleX.key, true));
				let sizes = size.values(u, seriesIdx, idx0, idx1);
				if (size.unit == 2) barWid = sizes[0] * xDim;
				else barWid = valToPosX(sizes[0], scaleX, xDim, xOff) - valToPosX(0, scaleX, xDim, xOff);
				colWid = findColWidth(dataX, dataY, valToPosX, scaleX, xDim, xOff, colWid);
				fullGap = colWid - barWid + extraGap;
			} else {
				colWid = findColWidth(dataX, dataY, valToPosX, scaleX, xDim, xOff, colWid);
				fullGap = colWid * gapFactor + extraGap;
				barWid = colWid - fullGap;
			}
			if (fullGap < 1) fullGap = 0;
			if (strokeWidth >= barWid / 2) strokeWidth = 0;
			if (fullGap < 5) pxRound = retArg0;
			let insetStroke = fullGap > 0;
			let rawBarWid = colWid - fullGap - (insetStroke ? strokeWidth : 0);
			barWid = pxRound(clamp(rawBarWid, minWidth, maxWidth));
			xShift = (_align == 0 ? barWid / 2 : _align == _dirX ? 0 : barWid) - _align * _dirX * ((_align == 0 ? extraGap / 2 : 0) + (insetStroke ? strokeWidth / 2 : 0));
			const _paths = {
				stroke: null,
				fill: null,
				clip: null,
				band: null,
				gaps: null,
				flags: 0
			};
			const stroke = multiPath ? null : new Path2D();
			let dataY0 = null;
			if (band != null) dataY0 = u.data[band.series[1]];
			else {
				let { y0, y1 } = disp;
				if (y0 != null && y1 != null) {
					dataY = y1.values(u, seriesIdx, idx0, idx1);
					dataY0 = y0.values(u, seriesIdx, idx0, idx1);
				}
			}
			let radVal = valRadius * barWid;
			let radBase = baseRadius * barWid;
			for (let i = _dirX == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += _dirX) {
				let yVal = dataY[i];
				if (yVal == null) continue;
				if (dataY0 != null) {
					let yVal0 = dataY0[i] ?? 0;
					if (yVal - yVal0 == 0) continue;
					fillToY = valToPosY(yVal0, scaleY, yDim, yOff);
				}
				let xPos = valToPosX(scaleX.distr != 2 || disp != null ? dataX[i] : i, scaleX, xDim, xOff);
				let yPos = valToPosY(ifNull(yVal, fillTo), scaleY, yDim, yOff);
				let lft = pxRound(xPos - xShift);
				let btm = pxRound(max(yPos, fillToY));
				let top = pxRound(min(yPos, fillToY));
				let barHgt = btm - top;
				if (yVal != null) {
					let rv = yVal < 0 ? radBase : radVal;
					let rb = yVal < 0 ? radVal : radBase;
					if (multiPath) {
						if (strokeWidth > 0 && strokeColors[i] != null) rect(strokePaths.get(strokeColors[i]), lft, top + floor$1(strokeWidth / 2), barWid, max(0, barHgt - strokeWidth), rv, rb);
						if (fillColors[i] != null) rect(fillPaths.get(fillColors[i]), lft, top + floor$1(strokeWidth / 2), barWid, max(0, barHgt - strokeWidth), rv, rb);
					} else rect(stroke, lft, top + floor$1(strokeWidth / 2), barWid, max(0, barHgt - strokeWidth), rv, rb);
					each(u, seriesIdx, i, lft - strokeWidth / 2, top, barWid + strokeWidth, barHgt);
				}
			}
			if (strokeWidth > 0) _paths.stroke = multiPath ? strokePaths : stroke;
			else if (!multiPath) {
				_paths._fill = series.width == 0 ? series._fill : series._stroke ?? series._fill;
				_paths.width = 0;
			}
			_paths.fill = multiPath ? fillPaths : stroke;
			return _paths;
		});
	};
}
function splineInterp(interp, opts) {
	const alignGaps = ifNull(opts?.alignGaps, 0);
	return (u, seriesIdx, idx0, idx1) => {
		return orient(u, seriesIdx, (series, dataX, dataY, scaleX, scaleY, valToPosX, valToPosY, xOff, yOff, xDim, yDim) => {
			[idx0, idx1] = nonNullIdxs(dataY, idx0, idx1);
			let pxRound = series.pxRound;
			let pixelForX = (val) => pxRound(valToPosX(val, scaleX, xDim, xOff));
			let pixelForY = (val) => pxRound(valToPosY(val, scaleY, yDim, yOff));
			let moveTo, bezierCurveTo, lineTo;
			if (scaleX.ori == 0) {
				moveTo = moveToH;
				lineTo = lineToH;
				bezierCurveTo = bezierCurveToH;
			} else {
				moveTo = moveToV;
				lineTo = lineToV;
				bezierCurveTo = bezierCurveToV;
			}
			const dir = scaleX.dir * (scaleX.ori == 0 ? 1 : -1);
			let firstXPos = pixelForX(dataX[dir == 1 ? idx0 : idx1]);
			let prevXPos = firstXPos;
			let xCoords = [];
			let yCoords = [];
			for (let i = dir == 1 ? idx0 : idx1; i >= idx0 && i <= idx1; i += dir) if (dataY[i] != null) {
				let xVal = dataX[i];
				let xPos = pixelForX(xVal);
				xCoords.push(prevXPos = xPos);
				yCoords.push(pixelForY(dataY[i]));
			}
			const _paths = {
				stroke: interp(xCoords, yCoords, moveTo, lineTo, bezierCurveTo, pxRound),
				fill: null,
				clip: null,
				band: null,
				gaps: null,
				flags: BAND_CLIP_FILL
			};
			const stroke = _paths.stroke;
			let [bandFillDir, bandClipDir] = bandFillClipDirs(u, seriesIdx);
			if (series.fill != null || bandFillDir != 0) {
				let fill = _paths.fill = new Path2D(stroke);
				let fillToY = pixelForY(series.fillTo(u, seriesIdx, series.min, series.max, bandFillDir));
				lineTo(fill, prevXPos, fillToY);
				lineTo(fill, firstXPos, fillToY);
			}
			if (!series.spanGaps) {
				let gaps = [];
				gaps.push(...findGaps(dataX, dataY, idx0, idx1, dir, pixelForX, alignGaps));
				_paths.gaps = gaps = series.gaps(u, seriesIdx, idx0, idx1, gaps);
				_paths.clip = clipGaps(gaps, scaleX.ori, xOff, yOff, xDim, yDim);
			}
			if (bandClipDir != 0) _paths.band = bandClipDir == 2 ? [clipBandLine(u, seriesIdx, idx0, idx1, stroke, -1), clipBandLine(u, seriesIdx, idx0, idx1, stroke, 1)] : clipBandLine(u, seriesIdx, idx0, idx1, stroke, bandClipDir);
			return _paths;
		});
	};
}
function monotoneCubic(opts) {
	return splineInterp(_monotoneCubic, opts);
}
function _monotoneCubic(xs, ys, moveTo, lineTo, bezierCurveTo, pxRound) {
	const n = xs.length;
	if (n < 2) return null;
	const path = new Path2D();
	moveTo(path, xs[0], ys[0]);
	if (n == 2) lineTo(path, xs[1], ys[1]);
	else {
		let ms = Array(n), ds = Array(n - 1), dys = Array(n - 1), dxs = Array(n - 1);
		for (let i = 0; i < n - 1; i++) {
			dys[i] = ys[i + 1] - ys[i];
			dxs[i] = xs[i + 1] - xs[i];
			ds[i] = dys[i] / dxs[i];
		}
		ms[0] = ds[0];
		for (let i = 1; i < n - 1; i++) if (ds[i] === 0 || ds[i - 1] === 0 || ds[i - 1] > 0 !== ds[i] > 0) ms[i] = 0;
		else {
			ms[i] = 3 * (dxs[i - 1] + dxs[i]) / ((2 * dxs[i] + dxs[i - 1]) / ds[i - 1] + (dxs[i] + 2 * dxs[i - 1]) / ds[i]);
			if (!isFinite(ms[i])) ms[i] = 0;
		}
		ms[n - 1] = ds[n - 2];
		for (let i = 0; i < n - 1; i++) bezierCurveTo(path, xs[i] + dxs[i] / 3, ys[i] + ms[i] * dxs[i] / 3, xs[i + 1] - dxs[i] / 3, ys[i + 1] - ms[i + 1] * dxs[i] / 3, xs[i + 1], ys[i + 1]);
	}
	return path;
}
var cursorPlots = /* @__PURE__ */ new Set();
function invalidateRects() {
	for (let u of cursorPlots) u.syncRect(true);
}
if (domEnv) {
	on(resize, win, invalidateRects);
	on(scroll, win, invalidateRects, true);
	on(dppxchange, win, () => {
		uPlot.pxRatio = pxRatio;
	});
}
var linearPath = linear();
var pointsPath = points$1();
function setDefaults(d, xo, yo, initY) {
	return (initY ? [d[0], d[1]].concat(d.slice(2)) : [d[0]].concat(d.slice(1))).map((o, i) => setDefault(o, i, xo, yo));
}
function setDefaults2(d, xyo) {
	return d.map((o, i) => i == 0 ? {} : assign({}, xyo, o));
}
function setDefault(o, i, xo, yo) {
	return assign({}, i == 0 ? xo : yo, o);
}
function snapNumX(self, dataMin, dataMax) {
	return dataMin == null ? nullNullTuple : [dataMin, dataMax];
}
var snapTimeX = snapNumX;
function snapNumY(self, dataMin, dataMax) {
	return dataMin == null ? nullNullTuple : rangeNum(dataMin, dataMax, rangePad, true);
}
function snapLogY(self, dataMin, dataMax, scale) {
	return dataMin == null ? nullNullTuple : rangeLog(dataMin, dataMax, self.scales[scale].log, false);
}
var snapLogX = snapLogY;
function snapAsinhY(self, dataMin, dataMax, scale) {
	return dataMin == null ? nullNullTuple : rangeAsinh(dataMin, dataMax, self.scales[scale].log, false);
}
var snapAsinhX = snapAsinhY;
function findIncr(minVal, maxVal, incrs, dim, minSpace) {
	let intDigits = max(numIntDigits(minVal), numIntDigits(maxVal));
	let delta = maxVal - minVal;
	let incrIdx = closestIdx(minSpace / dim * delta, incrs);
	do {
		let foundIncr = incrs[incrIdx];
		let foundSpace = dim * foundIncr / delta;
		if (foundSpace >= minSpace && intDigits + (foundIncr < 5 ? fixedDec.get(foundIncr) : 0) <= 17) return [foundIncr, foundSpace];
	} while (++incrIdx < incrs.length);
	return [0, 0];
}
function pxRatioFont(font) {
	let fontSize, fontSizeCss;
	font = font.replace(/(\d+)px/, (m, p1) => (fontSize = round((fontSizeCss = +p1) * pxRatio)) + "px");
	return [
		font,
		fontSize,
		fontSizeCss
	];
}
function syncFontSize(axis) {
	if (axis.show) [axis.font, axis.labelFont].forEach((f) => {
		let size = roundDec(f[2] * pxRatio, 1);
		f[0] = f[0].replace(/[0-9.]+px/, size + "px");
		f[1] = size;
	});
}
function uPlot(opts, data, then) {
	const self = { mode: ifNull(opts.mode, 1) };
	const mode = self.mode;
	function getHPos(val, scale, dim, off) {
		let pct = scale.valToPct(val);
		return off + dim * (scale.dir == -1 ? 1 - pct : pct);
	}
	function getVPos(val, scale, dim, off) {
		let pct = scale.valToPct(val);
		return off + dim * (scale.dir == -1 ? pct : 1 - pct);
	}
	function getPos(val, scale, dim, off) {
		return scale.ori == 0 ? getHPos(val, scale, dim, off) : getVPos(val, scale, dim, off);
	}
	self.valToPosH = getHPos;
	self.valToPosV = getVPos;
	let ready = false;
	self.status = 0;
	const root = self.root = placeDiv(UPLOT);
	if (opts.id != null) root.id = opts.id;
	addClass(root, opts.class);
	if (opts.title) {
		let title = placeDiv(TITLE, root);
		title.textContent = opts.title;
	}
	const can = placeTag("canvas");
	const ctx = self.ctx = can.getContext("2d");
	const wrap = placeDiv(WRAP, root);
	on("click", wrap, (e) => {
		if (e.target === over) (mouseLeft1 != mouseLeft0 || mouseTop1 != mouseTop0) && drag.click(self, e);
	}, true);
	const under = self.under = placeDiv(UNDER, wrap);
	wrap.appendChild(can);
	const over = self.over = placeDiv(OVER, wrap);
	opts = copy(opts);
	const pxAlign = +ifNull(opts.pxAlign, 1);
	const pxRound = pxRoundGen(pxAlign);
	(opts.plugins || []).forEach((p) => {
		if (p.opts) opts = p.opts(self, opts) || opts;
	});
	const ms = opts.ms || .001;
	const series = self.series = mode == 1 ? setDefaults(opts.series || [], xSeriesOpts, ySeriesOpts, false) : setDefaults2(opts.series || [null], xySeriesOpts);
	const axes = self.axes = setDefaults(opts.axes || [], xAxisOpts, yAxisOpts, true);
	const scales = self.scales = {};
	const bands = self.bands = opts.bands || [];
	bands.forEach((b) => {
		b.fill = fnOrSelf(b.fill || null);
		b.dir = ifNull(b.dir, -1);
	});
	const xScaleKey = mode == 2 ? series[1].facets[0].scale : series[0].scale;
	const drawOrderMap = {
		axes: drawAxesGrid,
		series: drawSeries
	};
	const drawOrder = (opts.drawOrder || ["axes", "series"]).map((key) => drawOrderMap[key]);
	function initValToPct(sc) {
		const getVal = sc.distr == 3 ? (val) => log10(val > 0 ? val : sc.clamp(self, val, sc.min, sc.max, sc.key)) : sc.distr == 4 ? (val) => asinh(val, sc.asinh) : sc.distr == 100 ? (val) => sc.fwd(val) : (val) => val;
		return (val) => {
			let _val = getVal(val);
			let { _min, _max } = sc;
			let delta = _max - _min;
			return (_val - _min) / delta;
		};
	}
	function initScale(scaleKey) {
		let sc = scales[scaleKey];
		if (sc == null) {
			let scaleOpts = (opts.scales || EMPTY_OBJ)[scaleKey] || EMPTY_OBJ;
			if (scaleOpts.from != null) {
				initScale(scaleOpts.from);
				let sc = assign({}, scales[scaleOpts.from], scaleOpts, { key: scaleKey });
				sc.valToPct = initValToPct(sc);
				scales[scaleKey] = sc;
			} else {
				sc = scales[scaleKey] = assign({}, scaleKey == xScaleKey ? xScaleOpts : yScaleOpts, scaleOpts);
				sc.key = scaleKey;
				let isTime = sc.time;
				let rn = sc.range;
				let rangeIsArr = isArr(rn);
				if (scaleKey != xScaleKey || mode == 2 && !isTime) {
					if (rangeIsArr && (rn[0] == null || rn[1] == null)) {
						rn = {
							min: rn[0] == null ? autoRangePart : {
								mode: 1,
								hard: rn[0],
								soft: rn[0]
							},
							max: rn[1] == null ? autoRangePart : {
								mode: 1,
								hard: rn[1],
								soft: rn[1]
							}
						};
						rangeIsArr = false;
					}
					if (!rangeIsArr && isObj(rn)) {
						let cfg = rn;
						rn = (self, dataMin, dataMax) => dataMin == null ? nullNullTuple : rangeNum(dataMin, dataMax, cfg);
					}
				}
				sc.range = fnOrSelf(rn || (isTime ? snapTimeX : scaleKey == xScaleKey ? sc.distr == 3 ? snapLogX : sc.distr == 4 ? snapAsinhX : snapNumX : sc.distr == 3 ? snapLogY : sc.distr == 4 ? snapAsinhY : snapNumY));
				sc.auto = fnOrSelf(rangeIsArr ? false : sc.auto);
				sc.clamp = fnOrSelf(sc.clamp || clampScale);
				sc._min = sc._max = null;
				sc.valToPct = initValToPct(sc);
			}
		}
	}
	initScale("x");
	initScale("y");
	if (mode == 1) series.forEach((s) => {
		initScale(s.scale);
	});
	axes.forEach((a) => {
		initScale(a.scale);
	});
	for (let k in opts.scales) initScale(k);
	const scaleX = scales[xScaleKey];
	const xScaleDistr = scaleX.distr;
	let valToPosX, valToPosY;
	if (scaleX.ori == 0) {
		addClass(root, ORI_HZ);
		valToPosX = getHPos;
		valToPosY = getVPos;
	} else {
		addClass(root, ORI_VT);
		valToPosX = getVPos;
		valToPosY = getHPos;
	}
	const pendScales = {};
	for (let k in scales) {
		let sc = scales[k];
		if (sc.min != null || sc.max != null) {
			pendScales[k] = {
				min: sc.min,
				max: sc.max
			};
			sc.min = sc.max = null;
		}
	}
	const _tzDate = opts.tzDate || ((ts) => new Date(round(ts / ms)));
	const _fmtDate = opts.fmtDate || fmtDate;
	const _timeAxisSplits = ms == 1 ? timeAxisSplitsMs(_tzDate) : timeAxisSplitsS(_tzDate);
	const _timeAxisVals = timeAxisVals(_tzDate, timeAxisStamps(ms == 1 ? _timeAxisStampsMs : _timeAxisStampsS, _fmtDate));
	const _timeSeriesVal = timeSeriesVal(_tzDate, timeSeriesStamp(_timeSeriesStamp, _fmtDate));
	const activeIdxs = [];
	const legend = self.legend = assign({}, legendOpts, opts.legend);
	const cursor = self.cursor = assign({}, cursorOpts, { drag: { y: mode == 2 } }, opts.cursor);
	const showLegend = legend.show;
	const showCursor = cursor.show;
	const markers = legend.markers;
	legend.idxs = activeIdxs;
	markers.width = fnOrSelf(markers.width);
	markers.dash = fnOrSelf(markers.dash);
	markers.stroke = fnOrSelf(markers.stroke);
	markers.fill = fnOrSelf(markers.fill);
	let legendTable;
	let legendHead;
	let legendBody;
	let legendRows = [];
	let legendCells = [];
	let legendCols;
	let multiValLegend = false;
	let NULL_LEGEND_VALUES = {};
	if (legend.live) {
		const getMultiVals = series[1] ? series[1].values : null;
		multiValLegend = getMultiVals != null;
		legendCols = multiValLegend ? getMultiVals(self, 1, 0) : { _: 0 };
		for (let k in legendCols) NULL_LEGEND_VALUES[k] = LEGEND_DISP;
	}
	if (showLegend) {
		legendTable = placeTag("table", LEGEND, root);
		legendBody = placeTag("tbody", null, legendTable);
		legend.mount(self, legendTable);
		if (multiValLegend) {
			legendHead = placeTag("thead", null, legendTable, legendBody);
			let head = placeTag("tr", null, legendHead);
			placeTag("th", null, head);
			for (var key in legendCols) placeTag("th", LEGEND_LABEL, head).textContent = key;
		} else {
			addClass(legendTable, LEGEND_INLINE);
			legend.live && addClass(legendTable, LEGEND_LIVE);
		}
	}
	const son = { show: true };
	const soff = { show: false };
	function initLegendRow(s, i) {
		if (i == 0 && (multiValLegend || !legend.live || mode == 2)) return nullNullTuple;
		let cells = [];
		let row = placeTag("tr", LEGEND_SERIES, legendBody, legendBody.childNodes[i]);
		addClass(row, s.class);
		if (!s.show) addClass(row, OFF);
		let label = placeTag("th", null, row);
		if (markers.show) {
			let indic = placeDiv(LEGEND_MARKER, label);
			if (i > 0) {
				let width = markers.width(self, i);
				if (width) indic.style.border = width + "px " + markers.dash(self, i) + " " + markers.stroke(self, i);
				indic.style.background = markers.fill(self, i);
			}
		}
		let text = placeDiv(LEGEND_LABEL, label);
		if (s.label instanceof HTMLElement) text.appendChild(s.label);
		else text.textContent = s.label;
		if (i > 0) {
			if (!markers.show) text.style.color = s.width > 0 ? markers.stroke(self, i) : markers.fill(self, i);
			onMouse("click", label, (e) => {
				if (cursor._lock) return;
				setCursorEvent(e);
				let seriesIdx = series.indexOf(s);
				if ((e.ctrlKey || e.metaKey) != legend.isolate) {
					let isolate = series.some((s, i) => i > 0 && i != seriesIdx && s.show);
					series.forEach((s, i) => {
						i > 0 && setSeries(i, isolate ? i == seriesIdx ? son : soff : son, true, syncOpts.setSeries);
					});
				} else setSeries(seriesIdx, { show: !s.show }, true, syncOpts.setSeries);
			}, false);
			if (cursorFocus) onMouse(mouseenter, label, (e) => {
				if (cursor._lock) return;
				setCursorEvent(e);
				setSeries(series.indexOf(s), FOCUS_TRUE, true, syncOpts.setSeries);
			}, false);
		}
		for (var key in legendCols) {
			let v = placeTag("td", LEGEND_VALUE, row);
			v.textContent = "--";
			cells.push(v);
		}
		return [row, cells];
	}
	const mouseListeners = /* @__PURE__ */ new Map();
	function onMouse(ev, targ, fn, onlyTarg = true) {
		const targListeners = mouseListeners.get(targ) || {};
		const listener = cursor.bind[ev](self, targ, fn, onlyTarg);
		if (listener) {
			on(ev, targ, targListeners[ev] = listener);
			mouseListeners.set(targ, targListeners);
		}
	}
	function offMouse(ev, targ, fn) {
		const targListeners = mouseListeners.get(targ) || {};
		for (let k in targListeners) if (ev == null || k == ev) {
			off(k, targ, targListeners[k]);
			delete targListeners[k];
		}
		if (ev == null) mouseListeners.delete(targ);
	}
	let fullWidCss = 0;
	let fullHgtCss = 0;
	let plotWidCss = 0;
	let plotHgtCss = 0;
	let plotLftCss = 0;
	let plotTopCss = 0;
	let _plotLftCss = plotLftCss;
	let _plotTopCss = plotTopCss;
	let _plotWidCss = plotWidCss;
	let _plotHgtCss = plotHgtCss;
	let plotLft = 0;
	let plotTop = 0;
	let plotWid = 0;
	let plotHgt = 0;
	self.bbox = {};
	let shouldSetScales = false;
	let shouldSetSize = false;
	let shouldConvergeSize = false;
	let shouldSetCursor = false;
	let shouldSetSelect = false;
	let shouldSetLegend = false;
	function _setSize(width, height, force) {
		if (force || width != self.width || height != self.height) calcSize(width, height);
		resetYSeries(false);
		shouldConvergeSize = true;
		shouldSetSize = true;
		commit();
	}
	function calcSize(width, height) {
		self.width = fullWidCss = plotWidCss = width;
		self.height = fullHgtCss = plotHgtCss = height;
		plotLftCss = plotTopCss = 0;
		calcPlotRect();
		calcAxesRects();
		let bb = self.bbox;
		plotLft = bb.left = incrRound(plotLftCss * pxRatio, .5);
		plotTop = bb.top = incrRound(plotTopCss * pxRatio, .5);
		plotWid = bb.width = incrRound(plotWidCss * pxRatio, .5);
		plotHgt = bb.height = incrRound(plotHgtCss * pxRatio, .5);
	}
	const CYCLE_LIMIT = 3;
	function convergeSize() {
		let converged = false;
		let cycleNum = 0;
		while (!converged) {
			cycleNum++;
			let axesConverged = axesCalc(cycleNum);
			let paddingConverged = paddingCalc(cycleNum);
			converged = cycleNum == CYCLE_LIMIT || axesConverged && paddingConverged;
			if (!converged) {
				calcSize(self.width, self.height);
				shouldSetSize = true;
			}
		}
	}
	function setSize({ width, height }) {
		_setSize(width, height);
	}
	self.setSize = setSize;
	function calcPlotRect() {
		let hasTopAxis = false;
		let hasBtmAxis = false;
		let hasRgtAxis = false;
		let hasLftAxis = false;
		axes.forEach((axis, i) => {
			if (axis.show && axis._show) {
				let { side, _size } = axis;
				let isVt = side % 2;
				let fullSize = _size + (axis.label != null ? axis.labelSize : 0);
				if (fullSize > 0) {
					if (isVt) {
						plotWidCss -= fullSize;
						if (side == 3) {
							plotLftCss += fullSize;
							hasLftAxis = true;
						} else hasRgtAxis = true;
					} else {
						plotHgtCss -= fullSize;
						if (side == 0) {
							plotTopCss += fullSize;
							hasTopAxis = true;
						} else hasBtmAxis = true;
					}
				}
			}
		});
		sidesWithAxes[0] = hasTopAxis;
		sidesWithAxes[1] = hasRgtAxis;
		sidesWithAxes[2] = hasBtmAxis;
		sidesWithAxes[3] = hasLftAxis;
		plotWidCss -= _padding[1] + _padding[3];
		plotLftCss += _padding[3];
		plotHgtCss -= _padding[2] + _padding[0];
		plotTopCss += _padding[0];
	}
	function calcAxesRects() {
		let off1 = plotLftCss + plotWidCss;
		let off2 = plotTopCss + plotHgtCss;
		let off3 = plotLftCss;
		let off0 = plotTopCss;
		function incrOffset(side, size) {
			switch (side) {
				case 1:
					off1 += size;
					return off1 - size;
				case 2:
					off2 += size;
					return off2 - size;
				case 3:
					off3 -= size;
					return off3 + size;
				case 0:
					off0 -= size;
					return off0 + size;
			}
		}
		axes.forEach((axis, i) => {
			if (axis.show && axis._show) {
				let side = axis.side;
				axis._pos = incrOffset(side, axis._size);
				if (axis.label != null) axis._lpos = incrOffset(side, axis.labelSize);
			}
		});
	}
	if (cursor.dataIdx == null) {
		let hov = cursor.hover;
		let skip = hov.skip = new Set(hov.skip ?? []);
		skip.add(void 0);
		let prox = hov.prox = fnOrSelf(hov.prox);
		let bias = hov.bias ??= 0;
		cursor.dataIdx = (self, seriesIdx, cursorIdx, valAtPosX) => {
			if (seriesIdx == 0) return cursorIdx;
			let idx2 = cursorIdx;
			let _prox = prox(self, seriesIdx, cursorIdx, valAtPosX) ?? inf;
			let withProx = _prox >= 0 && _prox < inf;
			let xDim = scaleX.ori == 0 ? plotWidCss : plotHgtCss;
			let cursorLft = cursor.left;
			let xValues = data[0];
			let yValues = data[seriesIdx];
			if (skip.has(yValues[cursorIdx])) {
				idx2 = null;
				let nonNullLft = null, nonNullRgt = null, j;
				if (bias == 0 || bias == -1) {
					j = cursorIdx;
					while (nonNullLft == null && j-- > 0) if (!skip.has(yValues[j])) nonNullLft = j;
				}
				if (bias == 0 || bias == 1) {
					j = cursorIdx;
					while (nonNullRgt == null && j++ < yValues.length) if (!skip.has(yValues[j])) nonNullRgt = j;
				}
				if (nonNullLft != null || nonNullRgt != null) {
					if (withProx) {
						let lftPos = nonNullLft == null ? -Infinity : valToPosX(xValues[nonNullLft], scaleX, xDim, 0);
						let rgtPos = nonNullRgt == null ? Infinity : valToPosX(xValues[nonNullRgt], scaleX, xDim, 0);
						let lftDelta = cursorLft - lftPos;
						let rgtDelta = rgtPos - cursorLft;
						if (lftDelta <= rgtDelta) {
							if (lftDelta <= _prox) idx2 = nonNullLft;
						} else if (rgtDelta <= _prox) idx2 = nonNullRgt;
					} else idx2 = nonNullRgt == null ? nonNullLft : nonNullLft == null ? nonNullRgt : cursorIdx - nonNullLft <= nonNullRgt - cursorIdx ? nonNullLft : nonNullRgt;
				}
			} else if (withProx) {
				if (abs(cursorLft - valToPosX(xValues[cursorIdx], scaleX, xDim, 0)) > _prox) idx2 = null;
			}
			return idx2;
		};
	}
	const setCursorEvent = (e) => {
		cursor.event = e;
	};
	cursor.idxs = activeIdxs;
	cursor._lock = false;
	let points = cursor.points;
	points.show = fnOrSelf(points.show);
	points.size = fnOrSelf(points.size);
	points.stroke = fnOrSelf(points.stroke);
	points.width = fnOrSelf(points.width);
	points.fill = fnOrSelf(points.fill);
	const focus = self.focus = assign({}, opts.focus || { alpha: .3 }, cursor.focus);
	const cursorFocus = focus.prox >= 0;
	const cursorOnePt = cursorFocus && points.one;
	let cursorPts = [];
	let cursorPtsLft = [];
	let cursorPtsTop = [];
	function initCursorPt(s, si) {
		let pt = points.show(self, si);
		if (pt instanceof HTMLElement) {
			addClass(pt, CURSOR_PT);
			addClass(pt, s.class);
			elTrans(pt, -10, -10, plotWidCss, plotHgtCss);
			over.insertBefore(pt, cursorPts[si]);
			return pt;
		}
	}
	function initSeries(s, i) {
		if (mode == 1 || i > 0) {
			let isTime = mode == 1 && scales[s.scale].time;
			let sv = s.value;
			s.value = isTime ? isStr(sv) ? timeSeriesVal(_tzDate, timeSeriesStamp(sv, _fmtDate)) : sv || _timeSeriesVal : sv || numSeriesVal;
			s.label = s.label || (isTime ? timeSeriesLabel : numSeriesLabel);
		}
		if (cursorOnePt || i > 0) {
			s.width = s.width == null ? 1 : s.width;
			s.paths = s.paths || linearPath || retNull;
			s.fillTo = fnOrSelf(s.fillTo || seriesFillTo);
			s.pxAlign = +ifNull(s.pxAlign, pxAlign);
			s.pxRound = pxRoundGen(s.pxAlign);
			s.stroke = fnOrSelf(s.stroke || null);
			s.fill = fnOrSelf(s.fill || null);
			s._stroke = s._fill = s._paths = s._focus = null;
			let _ptDia = ptDia(max(1, s.width), 1);
			let points = s.points = assign({}, {
				size: _ptDia,
				width: max(1, _ptDia * .2),
				stroke: s.stroke,
				space: _ptDia * 2,
				paths: pointsPath,
				_stroke: null,
				_fill: null
			}, s.points);
			points.show = fnOrSelf(points.show);
			points.filter = fnOrSelf(points.filter);
			points.fill = fnOrSelf(points.fill);
			points.stroke = fnOrSelf(points.stroke);
			points.paths = fnOrSelf(points.paths);
			points.pxAlign = s.pxAlign;
		}
		if (showLegend) {
			let rowCells = initLegendRow(s, i);
			legendRows.splice(i, 0, rowCells[0]);
			legendCells.splice(i, 0, rowCells[1]);
			legend.values.push(null);
		}
		if (showCursor) {
			activeIdxs.splice(i, 0, null);
			let pt = null;
			if (cursorOnePt) {
				if (i == 0) pt = initCursorPt(s, i);
			} else if (i > 0) pt = initCursorPt(s, i);
			cursorPts.splice(i, 0, pt);
			cursorPtsLft.splice(i, 0, 0);
			cursorPtsTop.splice(i, 0, 0);
		}
		fire("addSeries", i);
	}
	function addSeries(opts, si) {
		si = si == null ? series.length : si;
		opts = mode == 1 ? setDefault(opts, si, xSeriesOpts, ySeriesOpts) : setDefault(opts, si, {}, xySeriesOpts);
		series.splice(si, 0, opts);
		initSeries(series[si], si);
	}
	self.addSeries = addSeries;
	function delSeries(i) {
		series.splice(i, 1);
		if (showLegend) {
			legend.values.splice(i, 1);
			legendCells.splice(i, 1);
			let tr = legendRows.splice(i, 1)[0];
			offMouse(null, tr.firstChild);
			tr.remove();
		}
		if (showCursor) {
			activeIdxs.splice(i, 1);
			cursorPts.splice(i, 1)[0].remove();
			cursorPtsLft.splice(i, 1);
			cursorPtsTop.splice(i, 1);
		}
		fire("delSeries", i);
	}
	self.delSeries = delSeries;
	const sidesWithAxes = [
		false,
		false,
		false,
		false
	];
	function initAxis(axis, i) {
		axis._show = axis.show;
		if (axis.show) {
			let isVt = axis.side % 2;
			let sc = scales[axis.scale];
			if (sc == null) {
				axis.scale = isVt ? series[1].scale : xScaleKey;
				sc = scales[axis.scale];
			}
			let isTime = sc.time;
			axis.size = fnOrSelf(axis.size);
			axis.space = fnOrSelf(axis.space);
			axis.rotate = fnOrSelf(axis.rotate);
			if (isArr(axis.incrs)) axis.incrs.forEach((incr) => {
				!fixedDec.has(incr) && fixedDec.set(incr, guessDec(incr));
			});
			axis.incrs = fnOrSelf(axis.incrs || (sc.distr == 2 ? wholeIncrs : isTime ? ms == 1 ? timeIncrsMs : timeIncrsS : numIncrs));
			axis.splits = fnOrSelf(axis.splits || (isTime && sc.distr == 1 ? _timeAxisSplits : sc.distr == 3 ? logAxisSplits : sc.distr == 4 ? asinhAxisSplits : numAxisSplits));
			axis.stroke = fnOrSelf(axis.stroke);
			axis.grid.stroke = fnOrSelf(axis.grid.stroke);
			axis.ticks.stroke = fnOrSelf(axis.ticks.stroke);
			axis.border.stroke = fnOrSelf(axis.border.stroke);
			let av = axis.values;
			axis.values = isArr(av) && !isArr(av[0]) ? fnOrSelf(av) : isTime ? isArr(av) ? timeAxisVals(_tzDate, timeAxisStamps(av, _fmtDate)) : isStr(av) ? timeAxisVal(_tzDate, av) : av || _timeAxisVals : av || numAxisVals;
			axis.filter = fnOrSelf(axis.filter || (sc.distr >= 3 && sc.log == 10 ? log10AxisValsFilt : sc.distr == 3 && sc.log == 2 ? log2AxisValsFilt : retArg1));
			axis.font = pxRatioFont(axis.font);
			axis.labelFont = pxRatioFont(axis.labelFont);
			axis._size = axis.size(self, null, i, 0);
			axis._space = axis._rotate = axis._incrs = axis._found = axis._splits = axis._values = null;
			if (axis._size > 0) {
				sidesWithAxes[i] = true;
				axis._el = placeDiv(AXIS, wrap);
			}
		}
	}
	function autoPadSide(self, side, sidesWithAxes, cycleNum) {
		let [hasTopAxis, hasRgtAxis, hasBtmAxis, hasLftAxis] = sidesWithAxes;
		let ori = side % 2;
		let size = 0;
		if (ori == 0 && (hasLftAxis || hasRgtAxis)) size = side == 0 && !hasTopAxis || side == 2 && !hasBtmAxis ? round(xAxisOpts.size / 3) : 0;
		if (ori == 1 && (hasTopAxis || hasBtmAxis)) size = side == 1 && !hasRgtAxis || side == 3 && !hasLftAxis ? round(yAxisOpts.size / 2) : 0;
		return size;
	}
	const padding = self.padding = (opts.padding || [
		autoPadSide,
		autoPadSide,
		autoPadSide,
		autoPadSide
	]).map((p) => fnOrSelf(ifNull(p, autoPadSide)));
	const _padding = self._padding = padding.map((p, i) => p(self, i, sidesWithAxes, 0));
	let dataLen;
	let i0 = null;
	let i1 = null;
	const idxs = mode == 1 ? series[0].idxs : null;
	let data0 = null;
	let viaAutoScaleX = false;
	function setData(_data, _resetScales) {
		data = _data == null ? [] : _data;
		self.data = self._data = data;
		if (mode == 2) {
			dataLen = 0;
			for (let i = 1; i < series.length; i++) dataLen += data[i][0].length;
		} else {
			if (data.length == 0) self.data = self._data = data = [[]];
			data0 = data[0];
			dataLen = data0.length;
			let scaleData = data;
			if (xScaleDistr == 2) {
				scaleData = data.slice();
				let _data0 = scaleData[0] = Array(dataLen);
				for (let i = 0; i < dataLen; i++) _data0[i] = i;
			}
			self._data = data = scaleData;
		}
		resetYSeries(true);
		fire("setData");
		if (xScaleDistr == 2) shouldConvergeSize = true;
		if (_resetScales !== false) {
			let xsc = scaleX;
			if (xsc.auto(self, viaAutoScaleX)) autoScaleX();
			else _setScale(xScaleKey, xsc.min, xsc.max);
			shouldSetCursor = shouldSetCursor || cursor.left >= 0;
			shouldSetLegend = true;
			commit();
		}
	}
	self.setData = setData;
	function autoScaleX() {
		viaAutoScaleX = true;
		let _min, _max;
		if (mode == 1) {
			if (dataLen > 0) {
				i0 = idxs[0] = 0;
				i1 = idxs[1] = dataLen - 1;
				_min = data[0][i0];
				_max = data[0][i1];
				if (xScaleDistr == 2) {
					_min = i0;
					_max = i1;
				} else if (_min == _max) {
					if (xScaleDistr == 3) [_min, _max] = rangeLog(_min, _min, scaleX.log, false);
					else if (xScaleDistr == 4) [_min, _max] = rangeAsinh(_min, _min, scaleX.log, false);
					else if (scaleX.time) _max = _min + round(86400 / ms);
					else [_min, _max] = rangeNum(_min, _max, rangePad, true);
				}
			} else {
				i0 = idxs[0] = _min = null;
				i1 = idxs[1] = _max = null;
			}
		}
		_setScale(xScaleKey, _min, _max);
	}
	let ctxStroke, ctxFill, ctxWidth, ctxDash, ctxJoin, ctxCap, ctxFont, ctxAlign, ctxBaseline;
	let ctxAlpha;
	function setCtxStyle(stroke, width, dash, cap, fill, join) {
		stroke ??= transparent;
		dash ??= EMPTY_ARR;
		cap ??= "butt";
		fill ??= transparent;
		join ??= "round";
		if (stroke != ctxStroke) ctx.strokeStyle = ctxStroke = stroke;
		if (fill != ctxFill) ctx.fillStyle = ctxFill = fill;
		if (width != ctxWidth) ctx.lineWidth = ctxWidth = width;
		if (join != ctxJoin) ctx.lineJoin = ctxJoin = join;
		if (cap != ctxCap) ctx.lineCap = ctxCap = cap;
		if (dash != ctxDash) ctx.setLineDash(ctxDash = dash);
	}
	function setFontStyle(font, fill, align, baseline) {
		if (fill != ctxFill) ctx.fillStyle = ctxFill = fill;
		if (font != ctxFont) ctx.font = ctxFont = font;
		if (align != ctxAlign) ctx.textAlign = ctxAlign = align;
		if (baseline != ctxBaseline) ctx.textBaseline = ctxBaseline = baseline;
	}
	function accScale(wsc, psc, facet, data, sorted = 0) {
		if (data.length > 0 && wsc.auto(self, viaAutoScaleX) && (psc == null || psc.min == null)) {
			let _i0 = ifNull(i0, 0);
			let _i1 = ifNull(i1, data.length - 1);
			let minMax = facet.min == null ? getMinMax(data, _i0, _i1, sorted, wsc.distr == 3) : [facet.min, facet.max];
			wsc.min = min(wsc.min, facet.min = minMax[0]);
			wsc.max = max(wsc.max, facet.max = minMax[1]);
		}
	}
	const AUTOSCALE = {
		min: null,
		max: null
	};
	function setScales() {
		for (let k in scales) {
			let sc = scales[k];
			if (pendScales[k] == null && (sc.min == null || pendScales[xScaleKey] != null && sc.auto(self, viaAutoScaleX))) pendScales[k] = AUTOSCALE;
		}
		for (let k in scales) {
			let sc = scales[k];
			if (pendScales[k] == null && sc.from != null && pendScales[sc.from] != null) pendScales[k] = AUTOSCALE;
		}
		if (pendScales[xScaleKey] != null) resetYSeries(true);
		let wipScales = {};
		for (let k in pendScales) {
			let psc = pendScales[k];
			if (psc != null) {
				let wsc = wipScales[k] = copy(scales[k], fastIsObj);
				if (psc.min != null) assign(wsc, psc);
				else if (k != xScaleKey || mode == 2) {
					if (dataLen == 0 && wsc.from == null) {
						let minMax = wsc.range(self, null, null, k);
						wsc.min = minMax[0];
						wsc.max = minMax[1];
					} else {
						wsc.min = inf;
						wsc.max = -Infinity;
					}
				}
			}
		}
		if (dataLen > 0) {
			series.forEach((s, i) => {
				if (mode == 1) {
					let k = s.scale;
					let psc = pendScales[k];
					if (psc == null) return;
					let wsc = wipScales[k];
					if (i == 0) {
						let minMax = wsc.range(self, wsc.min, wsc.max, k);
						wsc.min = minMax[0];
						wsc.max = minMax[1];
						i0 = closestIdx(wsc.min, data[0]);
						i1 = closestIdx(wsc.max, data[0]);
						if (i1 - i0 > 1) {
							if (data[0][i0] < wsc.min) i0++;
							if (data[0][i1] > wsc.max) i1--;
						}
						s.min = data0[i0];
						s.max = data0[i1];
					} else if (s.show && s.auto) accScale(wsc, psc, s, data[i], s.sorted);
					s.idxs[0] = i0;
					s.idxs[1] = i1;
				} else if (i > 0) {
					if (s.show && s.auto) {
						let [xFacet, yFacet] = s.facets;
						let xScaleKey = xFacet.scale;
						let yScaleKey = yFacet.scale;
						let [xData, yData] = data[i];
						let wscx = wipScales[xScaleKey];
						let wscy = wipScales[yScaleKey];
						wscx != null && accScale(wscx, pendScales[xScaleKey], xFacet, xData, xFacet.sorted);
						wscy != null && accScale(wscy, pendScales[yScaleKey], yFacet, yData, yFacet.sorted);
						s.min = yFacet.min;
						s.max = yFacet.max;
					}
				}
			});
			for (let k in wipScales) {
				let wsc = wipScales[k];
				let psc = pendScales[k];
				if (wsc.from == null && (psc == null || psc.min == null)) {
					let minMax = wsc.range(self, wsc.min == inf ? null : wsc.min, wsc.max == -Infinity ? null : wsc.max, k);
					wsc.min = minMax[0];
					wsc.max = minMax[1];
				}
			}
		}
		for (let k in wipScales) {
			let wsc = wipScales[k];
			if (wsc.from != null) {
				let base = wipScales[wsc.from];
				if (base.min == null) wsc.min = wsc.max = null;
				else {
					let minMax = wsc.range(self, base.min, base.max, k);
					wsc.min = minMax[0];
					wsc.max = minMax[1];
				}
			}
		}
		let changed = {};
		let anyChanged = false;
		for (let k in wipScales) {
			let wsc = wipScales[k];
			let sc = scales[k];
			if (sc.min != wsc.min || sc.max != wsc.max) {
				sc.min = wsc.min;
				sc.max = wsc.max;
				let distr = sc.distr;
				sc._min = distr == 3 ? log10(sc.min) : distr == 4 ? asinh(sc.min, sc.asinh) : distr == 100 ? sc.fwd(sc.min) : sc.min;
				sc._max = distr == 3 ? log10(sc.max) : distr == 4 ? asinh(sc.max, sc.asinh) : distr == 100 ? sc.fwd(sc.max) : sc.max;
				changed[k] = anyChanged = true;
			}
		}
		if (anyChanged) {
			series.forEach((s, i) => {
				if (mode == 2) {
					if (i > 0 && changed.y) s._paths = null;
				} else if (changed[s.scale]) s._paths = null;
			});
			for (let k in changed) {
				shouldConvergeSize = true;
				fire("setScale", k);
			}
			if (showCursor && cursor.left >= 0) shouldSetCursor = shouldSetLegend = true;
		}
		for (let k in pendScales) pendScales[k] = null;
	}
	function getOuterIdxs(ydata) {
		let _i0 = clamp(i0 - 1, 0, dataLen - 1);
		let _i1 = clamp(i1 + 1, 0, dataLen - 1);
		while (ydata[_i0] == null && _i0 > 0) _i0--;
		while (ydata[_i1] == null && _i1 < dataLen - 1) _i1++;
		return [_i0, _i1];
	}
	function drawSeries() {
		if (dataLen > 0) {
			let shouldAlpha = series.some((s) => s._focus) && ctxAlpha != focus.alpha;
			if (shouldAlpha) ctx.globalAlpha = ctxAlpha = focus.alpha;
			series.forEach((s, i) => {
				if (i > 0 && s.show) {
					cacheStrokeFill(i, false);
					cacheStrokeFill(i, true);
					if (s._paths == null) {
						let _ctxAlpha = ctxAlpha;
						if (ctxAlpha != s.alpha) ctx.globalAlpha = ctxAlpha = s.alpha;
						let _idxs = mode == 2 ? [0, data[i][0].length - 1] : getOuterIdxs(data[i]);
						s._paths = s.paths(self, i, _idxs[0], _idxs[1]);
						if (ctxAlpha != _ctxAlpha) ctx.globalAlpha = ctxAlpha = _ctxAlpha;
					}
				}
			});
			series.forEach((s, i) => {
				if (i > 0 && s.show) {
					let _ctxAlpha = ctxAlpha;
					if (ctxAlpha != s.alpha) ctx.globalAlpha = ctxAlpha = s.alpha;
					s._paths != null && drawPath(i, false);
					{
						let _gaps = s._paths != null ? s._paths.gaps : null;
						let show = s.points.show(self, i, i0, i1, _gaps);
						let idxs = s.points.filter(self, i, show, _gaps);
						if (show || idxs) {
							s.points._paths = s.points.paths(self, i, i0, i1, idxs);
							drawPath(i, true);
						}
					}
					if (ctxAlpha != _ctxAlpha) ctx.globalAlpha = ctxAlpha = _ctxAlpha;
					fire("drawSeries", i);
				}
			});
			if (shouldAlpha) ctx.globalAlpha = ctxAlpha = 1;
		}
	}
	function cacheStrokeFill(si, _points) {
		let s = _points ? series[si].points : series[si];
		s._stroke = s.stroke(self, si);
		s._fill = s.fill(self, si);
	}
	function drawPath(si, _points) {
		let s = _points ? series[si].points : series[si];
		let { stroke, fill, clip: gapsClip, flags, _stroke: strokeStyle = s._stroke, _fill: fillStyle = s._fill, _width: width = s.width } = s._paths;
		width = roundDec(width * pxRatio, 3);
		let boundsClip = null;
		let offset = width % 2 / 2;
		if (_points && fillStyle == null) fillStyle = width > 0 ? "#fff" : strokeStyle;
		let _pxAlign = s.pxAlign == 1 && offset > 0;
		_pxAlign && ctx.translate(offset, offset);
		if (!_points) {
			let lft = plotLft - width / 2, top = plotTop - width / 2, wid = plotWid + width, hgt = plotHgt + width;
			boundsClip = new Path2D();
			boundsClip.rect(lft, top, wid, hgt);
		}
		if (_points) strokeFill(strokeStyle, width, s.dash, s.cap, fillStyle, stroke, fill, flags, gapsClip);
		else fillStroke(si, strokeStyle, width, s.dash, s.cap, fillStyle, stroke, fill, flags, boundsClip, gapsClip);
		_pxAlign && ctx.translate(-offset, -offset);
	}
	function fillStroke(si, strokeStyle, lineWidth, lineDash, lineCap, fillStyle, strokePath, fillPath, flags, boundsClip, gapsClip) {
		let didStrokeFill = false;
		flags != 0 && bands.forEach((b, bi) => {
			if (b.series[0] == si) {
				let lowerEdge = series[b.series[1]];
				let lowerData = data[b.series[1]];
				let bandClip = (lowerEdge._paths || EMPTY_OBJ).band;
				if (isArr(bandClip)) bandClip = b.dir == 1 ? bandClip[0] : bandClip[1];
				let gapsClip2;
				let _fillStyle = null;
				if (lowerEdge.show && bandClip && hasData(lowerData, i0, i1)) {
					_fillStyle = b.fill(self, bi) || fillStyle;
					gapsClip2 = lowerEdge._paths.clip;
				} else bandClip = null;
				strokeFill(strokeStyle, lineWidth, lineDash, lineCap, _fillStyle, strokePath, fillPath, flags, boundsClip, gapsClip, gapsClip2, bandClip);
				didStrokeFill = true;
			}
		});
		if (!didStrokeFill) strokeFill(strokeStyle, lineWidth, lineDash, lineCap, fillStyle, strokePath, fillPath, flags, boundsClip, gapsClip);
	}
	const CLIP_FILL_STROKE = 3;
	function strokeFill(strokeStyle, lineWidth, lineDash, lineCap, fillStyle, strokePath, fillPath, flags, boundsClip, gapsClip, gapsClip2, bandClip) {
		setCtxStyle(strokeStyle, lineWidth, lineDash, lineCap, fillStyle);
		if (boundsClip || gapsClip || bandClip) {
			ctx.save();
			boundsClip && ctx.clip(boundsClip);
			gapsClip && ctx.clip(gapsClip);
		}
		if (bandClip) {
			if ((flags & CLIP_FILL_STROKE) == CLIP_FILL_STROKE) {
				ctx.clip(bandClip);
				gapsClip2 && ctx.clip(gapsClip2);
				doFill(fillStyle, fillPath);
				doStroke(strokeStyle, strokePath, lineWidth);
			} else if (flags & BAND_CLIP_STROKE) {
				doFill(fillStyle, fillPath);
				ctx.clip(bandClip);
				doStroke(strokeStyle, strokePath, lineWidth);
			} else if (flags & BAND_CLIP_FILL) {
				ctx.save();
				ctx.clip(bandClip);
				gapsClip2 && ctx.clip(gapsClip2);
				doFill(fillStyle, fillPath);
				ctx.restore();
				doStroke(strokeStyle, strokePath, lineWidth);
			}
		} else {
			doFill(fillStyle, fillPath);
			doStroke(strokeStyle, strokePath, lineWidth);
		}
		if (boundsClip || gapsClip || bandClip) ctx.restore();
	}
	function doStroke(strokeStyle, strokePath, lineWidth) {
		if (lineWidth > 0) {
			if (strokePath instanceof Map) strokePath.forEach((strokePath, strokeStyle) => {
				ctx.strokeStyle = ctxStroke = strokeStyle;
				ctx.stroke(strokePath);
			});
			else strokePath != null && strokeStyle && ctx.stroke(strokePath);
		}
	}
	function doFill(fillStyle, fillPath) {
		if (fillPath instanceof Map) fillPath.forEach((fillPath, fillStyle) => {
			ctx.fillStyle = ctxFill = fillStyle;
			ctx.fill(fillPath);
		});
		else fillPath != null && fillStyle && ctx.fill(fillPath);
	}
	function getIncrSpace(axisIdx, min, max, fullDim) {
		let axis = axes[axisIdx];
		let incrSpace;
		if (fullDim <= 0) incrSpace = [0, 0];
		else {
			let minSpace = axis._space = axis.space(self, axisIdx, min, max, fullDim);
			incrSpace = findIncr(min, max, axis._incrs = axis.incrs(self, axisIdx, min, max, fullDim, minSpace), fullDim, minSpace);
		}
		return axis._found = incrSpace;
	}
	function drawOrthoLines(offs, filts, ori, side, pos0, len, width, stroke, dash, cap) {
		let offset = width % 2 / 2;
		pxAlign == 1 && ctx.translate(offset, offset);
		setCtxStyle(stroke, width, dash, cap, stroke);
		ctx.beginPath();
		let x0, y0, x1, y1, pos1 = pos0 + (side == 0 || side == 3 ? -len : len);
		if (ori == 0) {
			y0 = pos0;
			y1 = pos1;
		} else {
			x0 = pos0;
			x1 = pos1;
		}
		for (let i = 0; i < offs.length; i++) if (filts[i] != null) {
			if (ori == 0) x0 = x1 = offs[i];
			else y0 = y1 = offs[i];
			ctx.moveTo(x0, y0);
			ctx.lineTo(x1, y1);
		}
		ctx.stroke();
		pxAlign == 1 && ctx.translate(-offset, -offset);
	}
	function axesCalc(cycleNum) {
		let converged = true;
		axes.forEach((axis, i) => {
			if (!axis.show) return;
			let scale = scales[axis.scale];
			if (scale.min == null) {
				if (axis._show) {
					converged = false;
					axis._show = false;
					resetYSeries(false);
				}
				return;
			} else if (!axis._show) {
				converged = false;
				axis._show = true;
				resetYSeries(false);
			}
			let side = axis.side;
			let ori = side % 2;
			let { min, max } = scale;
			let [_incr, _space] = getIncrSpace(i, min, max, ori == 0 ? plotWidCss : plotHgtCss);
			if (_space == 0) return;
			let forceMin = scale.distr == 2;
			let _splits = axis._splits = axis.splits(self, i, min, max, _incr, _space, forceMin);
			let splits = scale.distr == 2 ? _splits.map((i) => data0[i]) : _splits;
			let incr = scale.distr == 2 ? data0[_splits[1]] - data0[_splits[0]] : _incr;
			let values = axis._values = axis.values(self, axis.filter(self, splits, i, _space, incr), i, _space, incr);
			axis._rotate = side == 2 ? axis.rotate(self, values, i, _space) : 0;
			let oldSize = axis._size;
			axis._size = ceil(axis.size(self, values, i, cycleNum));
			if (oldSize != null && axis._size != oldSize) converged = false;
		});
		return converged;
	}
	function paddingCalc(cycleNum) {
		let converged = true;
		padding.forEach((p, i) => {
			let _p = p(self, i, sidesWithAxes, cycleNum);
			if (_p != _padding[i]) converged = false;
			_padding[i] = _p;
		});
		return converged;
	}
	function drawAxesGrid() {
		for (let i = 0; i < axes.length; i++) {
			let axis = axes[i];
			if (!axis.show || !axis._show) continue;
			let side = axis.side;
			let ori = side % 2;
			let x, y;
			let fillStyle = axis.stroke(self, i);
			let shiftDir = side == 0 || side == 3 ? -1 : 1;
			let [_incr, _space] = axis._found;
			if (axis.label != null) {
				let shiftAmt = axis.labelGap * shiftDir;
				let baseLpos = round((axis._lpos + shiftAmt) * pxRatio);
				setFontStyle(axis.labelFont[0], fillStyle, "center", side == 2 ? TOP : BOTTOM);
				ctx.save();
				if (ori == 1) {
					x = y = 0;
					ctx.translate(baseLpos, round(plotTop + plotHgt / 2));
					ctx.rotate((side == 3 ? -PI : PI) / 2);
				} else {
					x = round(plotLft + plotWid / 2);
					y = baseLpos;
				}
				let _label = isFn(axis.label) ? axis.label(self, i, _incr, _space) : axis.label;
				ctx.fillText(_label, x, y);
				ctx.restore();
			}
			if (_space == 0) continue;
			let scale = scales[axis.scale];
			let plotDim = ori == 0 ? plotWid : plotHgt;
			let plotOff = ori == 0 ? plotLft : plotTop;
			let _splits = axis._splits;
			let splits = scale.distr == 2 ? _splits.map((i) => data0[i]) : _splits;
			let incr = scale.distr == 2 ? data0[_splits[1]] - data0[_splits[0]] : _incr;
			let ticks = axis.ticks;
			let border = axis.border;
			let _tickSize = ticks.show ? ticks.size : 0;
			let tickSize = round(_tickSize * pxRatio);
			let axisGap = round((axis.alignTo == 2 ? axis._size - _tickSize - axis.gap : axis.gap) * pxRatio);
			let angle = axis._rotate * -PI / 180;
			let basePos = pxRound(axis._pos * pxRatio);
			let finalPos = basePos + (tickSize + axisGap) * shiftDir;
			y = ori == 0 ? finalPos : 0;
			x = ori == 1 ? finalPos : 0;
			let font = axis.font[0];
			setFontStyle(font, fillStyle, axis.align == 1 ? LEFT : axis.align == 2 ? RIGHT : angle > 0 ? LEFT : angle < 0 ? RIGHT : ori == 0 ? "center" : side == 3 ? RIGHT : LEFT, angle || ori == 1 ? "middle" : side == 2 ? TOP : BOTTOM);
			let lineHeight = axis.font[1] * axis.lineGap;
			let canOffs = _splits.map((val) => pxRound(getPos(val, scale, plotDim, plotOff)));
			let _values = axis._values;
			for (let i = 0; i < _values.length; i++) {
				let val = _values[i];
				if (val != null) {
					if (ori == 0) x = canOffs[i];
					else y = canOffs[i];
					val = "" + val;
					let _parts = val.indexOf("\n") == -1 ? [val] : val.split(/\n/gm);
					for (let j = 0; j < _parts.length; j++) {
						let text = _parts[j];
						if (angle) {
							ctx.save();
							ctx.translate(x, y + j * lineHeight);
							ctx.rotate(angle);
							ctx.fillText(text, 0, 0);
							ctx.restore();
						} else ctx.fillText(text, x, y + j * lineHeight);
					}
				}
			}
			if (ticks.show) drawOrthoLines(canOffs, ticks.filter(self, splits, i, _space, incr), ori, side, basePos, tickSize, roundDec(ticks.width * pxRatio, 3), ticks.stroke(self, i), ticks.dash, ticks.cap);
			let grid = axis.grid;
			if (grid.show) drawOrthoLines(canOffs, grid.filter(self, splits, i, _space, incr), ori, ori == 0 ? 2 : 1, ori == 0 ? plotTop : plotLft, ori == 0 ? plotHgt : plotWid, roundDec(grid.width * pxRatio, 3), grid.stroke(self, i), grid.dash, grid.cap);
			if (border.show) drawOrthoLines([basePos], [1], ori == 0 ? 1 : 0, ori == 0 ? 1 : 2, ori == 1 ? plotTop : plotLft, ori == 1 ? plotHgt : plotWid, roundDec(border.width * pxRatio, 3), border.stroke(self, i), border.dash, border.cap);
		}
		fire("drawAxes");
	}
	function resetYSeries(minMax) {
		series.forEach((s, i) => {
			if (i > 0) {
				s._paths = null;
				if (minMax) {
					if (mode == 1) {
						s.min = null;
						s.max = null;
					} else s.facets.forEach((f) => {
						f.min = null;
						f.max = null;
					});
				}
			}
		});
	}
	let queuedCommit = false;
	let deferHooks = false;
	let hooksQueue = [];
	function flushHooks() {
		deferHooks = false;
		for (let i = 0; i < hooksQueue.length; i++) fire(...hooksQueue[i]);
		hooksQueue.length = 0;
	}
	function commit() {
		if (!queuedCommit) {
			microTask(_commit);
			queuedCommit = true;
		}
	}
	function batch(fn, _deferHooks = false) {
		queuedCommit = true;
		deferHooks = _deferHooks;
		fn(self);
		_commit();
		if (_deferHooks && hooksQueue.length > 0) queueMicrotask(flushHooks);
	}
	self.batch = batch;
	function _commit() {
		if (shouldSetScales) {
			setScales();
			shouldSetScales = false;
		}
		if (shouldConvergeSize) {
			convergeSize();
			shouldConvergeSize = false;
		}
		if (shouldSetSize) {
			setStylePx(under, LEFT, plotLftCss);
			setStylePx(under, TOP, plotTopCss);
			setStylePx(under, WIDTH, plotWidCss);
			setStylePx(under, HEIGHT, plotHgtCss);
			setStylePx(over, LEFT, plotLftCss);
			setStylePx(over, TOP, plotTopCss);
			setStylePx(over, WIDTH, plotWidCss);
			setStylePx(over, HEIGHT, plotHgtCss);
			setStylePx(wrap, WIDTH, fullWidCss);
			setStylePx(wrap, HEIGHT, fullHgtCss);
			can.width = round(fullWidCss * pxRatio);
			can.height = round(fullHgtCss * pxRatio);
			axes.forEach(({ _el, _show, _size, _pos, side }) => {
				if (_el != null) {
					if (_show) {
						let posOffset = side === 3 || side === 0 ? _size : 0;
						let isVt = side % 2 == 1;
						setStylePx(_el, isVt ? "left" : "top", _pos - posOffset);
						setStylePx(_el, isVt ? "width" : "height", _size);
						setStylePx(_el, isVt ? "top" : "left", isVt ? plotTopCss : plotLftCss);
						setStylePx(_el, isVt ? "height" : "width", isVt ? plotHgtCss : plotWidCss);
						remClass(_el, OFF);
					} else addClass(_el, OFF);
				}
			});
			ctxStroke = ctxFill = ctxWidth = ctxJoin = ctxCap = ctxFont = ctxAlign = ctxBaseline = ctxDash = null;
			ctxAlpha = 1;
			syncRect(true);
			if (plotLftCss != _plotLftCss || plotTopCss != _plotTopCss || plotWidCss != _plotWidCss || plotHgtCss != _plotHgtCss) {
				resetYSeries(false);
				let pctWid = plotWidCss / _plotWidCss;
				let pctHgt = plotHgtCss / _plotHgtCss;
				if (showCursor && !shouldSetCursor && cursor.left >= 0) {
					cursor.left *= pctWid;
					cursor.top *= pctHgt;
					vCursor && elTrans(vCursor, round(cursor.left), 0, plotWidCss, plotHgtCss);
					hCursor && elTrans(hCursor, 0, round(cursor.top), plotWidCss, plotHgtCss);
					for (let i = 0; i < cursorPts.length; i++) {
						let pt = cursorPts[i];
						if (pt != null) {
							cursorPtsLft[i] *= pctWid;
							cursorPtsTop[i] *= pctHgt;
							elTrans(pt, ceil(cursorPtsLft[i]), ceil(cursorPtsTop[i]), plotWidCss, plotHgtCss);
						}
					}
				}
				if (select.show && !shouldSetSelect && select.left >= 0 && select.width > 0) {
					select.left *= pctWid;
					select.width *= pctWid;
					select.top *= pctHgt;
					select.height *= pctHgt;
					for (let prop in _hideProps) setStylePx(selectDiv, prop, select[prop]);
				}
				_plotLftCss = plotLftCss;
				_plotTopCss = plotTopCss;
				_plotWidCss = plotWidCss;
				_plotHgtCss = plotHgtCss;
			}
			fire("setSize");
			shouldSetSize = false;
		}
		if (fullWidCss > 0 && fullHgtCss > 0) {
			ctx.clearRect(0, 0, can.width, can.height);
			fire("drawClear");
			drawOrder.forEach((fn) => fn());
			fire("draw");
		}
		if (select.show && shouldSetSelect) {
			setSelect(select);
			shouldSetSelect = false;
		}
		if (showCursor && shouldSetCursor) {
			updateCursor(null, true, false);
			shouldSetCursor = false;
		}
		if (legend.show && legend.live && shouldSetLegend) {
			setLegend();
			shouldSetLegend = false;
		}
		if (!ready) {
			ready = true;
			self.status = 1;
			fire("ready");
		}
		viaAutoScaleX = false;
		queuedCommit = false;
	}
	self.redraw = (rebuildPaths, recalcAxes) => {
		shouldConvergeSize = recalcAxes || false;
		if (rebuildPaths !== false) _setScale(xScaleKey, scaleX.min, scaleX.max);
		else commit();
	};
	function setScale(key, opts) {
		let sc = scales[key];
		if (sc.from == null) {
			if (dataLen == 0) {
				let minMax = sc.range(self, opts.min, opts.max, key);
				opts.min = minMax[0];
				opts.max = minMax[1];
			}
			if (opts.min > opts.max) {
				let _min = opts.min;
				opts.min = opts.max;
				opts.max = _min;
			}
			if (dataLen > 1 && opts.min != null && opts.max != null && opts.max - opts.min < 1e-16) return;
			if (key == xScaleKey) {
				if (sc.distr == 2 && dataLen > 0) {
					opts.min = closestIdx(opts.min, data[0]);
					opts.max = closestIdx(opts.max, data[0]);
					if (opts.min == opts.max) opts.max++;
				}
			}
			pendScales[key] = opts;
			shouldSetScales = true;
			commit();
		}
	}
	self.setScale = setScale;
	let xCursor;
	let yCursor;
	let vCursor;
	let hCursor;
	let rawMouseLeft0;
	let rawMouseTop0;
	let mouseLeft0;
	let mouseTop0;
	let rawMouseLeft1;
	let rawMouseTop1;
	let mouseLeft1;
	let mouseTop1;
	let dragging = false;
	const drag = cursor.drag;
	let dragX = drag.x;
	let dragY = drag.y;
	if (showCursor) {
		if (cursor.x) xCursor = placeDiv(CURSOR_X, over);
		if (cursor.y) yCursor = placeDiv(CURSOR_Y, over);
		if (scaleX.ori == 0) {
			vCursor = xCursor;
			hCursor = yCursor;
		} else {
			vCursor = yCursor;
			hCursor = xCursor;
		}
		mouseLeft1 = cursor.left;
		mouseTop1 = cursor.top;
	}
	const select = self.select = assign({
		show: true,
		over: true,
		left: 0,
		width: 0,
		top: 0,
		height: 0
	}, opts.select);
	const selectDiv = select.show ? placeDiv(SELECT, select.over ? over : under) : null;
	function setSelect(opts, _fire) {
		if (select.show) {
			for (let prop in opts) {
				select[prop] = opts[prop];
				if (prop in _hideProps) setStylePx(selectDiv, prop, opts[prop]);
			}
			_fire !== false && fire("setSelect");
		}
	}
	self.setSelect = setSelect;
	function toggleDOM(i) {
		if (series[i].show) showLegend && remClass(legendRows[i], OFF);
		else {
			showLegend && addClass(legendRows[i], OFF);
			if (showCursor) {
				let pt = cursorOnePt ? cursorPts[0] : cursorPts[i];
				pt != null && elTrans(pt, -10, -10, plotWidCss, plotHgtCss);
			}
		}
	}
	function _setScale(key, min, max) {
		setScale(key, {
			min,
			max
		});
	}
	function setSeries(i, opts, _fire, _pub) {
		if (opts.focus != null) setFocus(i);
		if (opts.show != null) series.forEach((s, si) => {
			if (si > 0 && (i == si || i == null)) {
				s.show = opts.show;
				toggleDOM(si);
				if (mode == 2) {
					_setScale(s.facets[0].scale, null, null);
					_setScale(s.facets[1].scale, null, null);
				} else _setScale(s.scale, null, null);
				commit();
			}
		});
		_fire !== false && fire("setSeries", i, opts);
		_pub && pubSync("setSeries", self, i, opts);
	}
	self.setSeries = setSeries;
	function setBand(bi, opts) {
		assign(bands[bi], opts);
	}
	function addBand(opts, bi) {
		opts.fill = fnOrSelf(opts.fill || null);
		opts.dir = ifNull(opts.dir, -1);
		bi = bi == null ? bands.length : bi;
		bands.splice(bi, 0, opts);
	}
	function delBand(bi) {
		if (bi == null) bands.length = 0;
		else bands.splice(bi, 1);
	}
	self.addBand = addBand;
	self.setBand = setBand;
	self.delBand = delBand;
	function setAlpha(i, value) {
		series[i].alpha = value;
		if (showCursor && cursorPts[i] != null) cursorPts[i].style.opacity = value;
		if (showLegend && legendRows[i]) legendRows[i].style.opacity = value;
	}
	let closestDist;
	let closestSeries;
	let focusedSeries;
	const FOCUS_TRUE = { focus: true };
	function setFocus(i) {
		if (i != focusedSeries) {
			let allFocused = i == null;
			let _setAlpha = focus.alpha != 1;
			series.forEach((s, i2) => {
				if (mode == 1 || i2 > 0) {
					let isFocused = allFocused || i2 == 0 || i2 == i;
					s._focus = allFocused ? null : isFocused;
					_setAlpha && setAlpha(i2, isFocused ? 1 : focus.alpha);
				}
			});
			focusedSeries = i;
			_setAlpha && commit();
		}
	}
	if (showLegend && cursorFocus) onMouse(mouseleave, legendTable, (e) => {
		if (cursor._lock) return;
		setCursorEvent(e);
		if (focusedSeries != null) setSeries(null, FOCUS_TRUE, true, syncOpts.setSeries);
	});
	function posToVal(pos, scale, can) {
		let sc = scales[scale];
		if (can) pos = pos / pxRatio - (sc.ori == 1 ? plotTopCss : plotLftCss);
		let dim = plotWidCss;
		if (sc.ori == 1) {
			dim = plotHgtCss;
			pos = dim - pos;
		}
		if (sc.dir == -1) pos = dim - pos;
		let _min = sc._min, _max = sc._max, pct = pos / dim;
		let sv = _min + (_max - _min) * pct;
		let distr = sc.distr;
		return distr == 3 ? pow(10, sv) : distr == 4 ? sinh(sv, sc.asinh) : distr == 100 ? sc.bwd(sv) : sv;
	}
	function closestIdxFromXpos(pos, can) {
		return closestIdx(posToVal(pos, xScaleKey, can), data[0], i0, i1);
	}
	self.valToIdx = (val) => closestIdx(val, data[0]);
	self.posToIdx = closestIdxFromXpos;
	self.posToVal = posToVal;
	self.valToPos = (val, scale, can) => scales[scale].ori == 0 ? getHPos(val, scales[scale], can ? plotWid : plotWidCss, can ? plotLft : 0) : getVPos(val, scales[scale], can ? plotHgt : plotHgtCss, can ? plotTop : 0);
	self.setCursor = (opts, _fire, _pub) => {
		mouseLeft1 = opts.left;
		mouseTop1 = opts.top;
		updateCursor(null, _fire, _pub);
	};
	function setSelH(off, dim) {
		setStylePx(selectDiv, LEFT, select.left = off);
		setStylePx(selectDiv, WIDTH, select.width = dim);
	}
	function setSelV(off, dim) {
		setStylePx(selectDiv, TOP, select.top = off);
		setStylePx(selectDiv, HEIGHT, select.height = dim);
	}
	let setSelX = scaleX.ori == 0 ? setSelH : setSelV;
	let setSelY = scaleX.ori == 1 ? setSelH : setSelV;
	function syncLegend() {
		if (showLegend && legend.live) for (let i = mode == 2 ? 1 : 0; i < series.length; i++) {
			if (i == 0 && multiValLegend) continue;
			let vals = legend.values[i];
			let j = 0;
			for (let k in vals) legendCells[i][j++].firstChild.nodeValue = vals[k];
		}
	}
	function setLegend(opts, _fire) {
		if (opts != null) {
			if (opts.idxs) opts.idxs.forEach((didx, sidx) => {
				activeIdxs[sidx] = didx;
			});
			else if (!isUndef(opts.idx)) activeIdxs.fill(opts.idx);
			legend.idx = activeIdxs[0];
		}
		if (showLegend && legend.live) {
			for (let sidx = 0; sidx < series.length; sidx++) if (sidx > 0 || mode == 1 && !multiValLegend) setLegendValues(sidx, activeIdxs[sidx]);
			syncLegend();
		}
		shouldSetLegend = false;
		_fire !== false && fire("setLegend");
	}
	self.setLegend = setLegend;
	function setLegendValues(sidx, idx) {
		let s = series[sidx];
		let src = sidx == 0 && xScaleDistr == 2 ? data0 : data[sidx];
		let val;
		if (multiValLegend) val = s.values(self, sidx, idx) ?? NULL_LEGEND_VALUES;
		else {
			val = s.value(self, idx == null ? null : src[idx], sidx, idx);
			val = val == null ? NULL_LEGEND_VALUES : { _: val };
		}
		legend.values[sidx] = val;
	}
	function updateCursor(src, _fire, _pub) {
		rawMouseLeft1 = mouseLeft1;
		rawMouseTop1 = mouseTop1;
		[mouseLeft1, mouseTop1] = cursor.move(self, mouseLeft1, mouseTop1);
		cursor.left = mouseLeft1;
		cursor.top = mouseTop1;
		if (showCursor) {
			vCursor && elTrans(vCursor, round(mouseLeft1), 0, plotWidCss, plotHgtCss);
			hCursor && elTrans(hCursor, 0, round(mouseTop1), plotWidCss, plotHgtCss);
		}
		let idx;
		let noDataInRange = i0 > i1;
		closestDist = inf;
		closestSeries = null;
		let xDim = scaleX.ori == 0 ? plotWidCss : plotHgtCss;
		let yDim = scaleX.ori == 1 ? plotWidCss : plotHgtCss;
		if (mouseLeft1 < 0 || dataLen == 0 || noDataInRange) {
			idx = cursor.idx = null;
			for (let i = 0; i < series.length; i++) {
				let pt = cursorPts[i];
				pt != null && elTrans(pt, -10, -10, plotWidCss, plotHgtCss);
			}
			if (cursorFocus) setSeries(null, FOCUS_TRUE, true, src == null && syncOpts.setSeries);
			if (legend.live) {
				activeIdxs.fill(idx);
				shouldSetLegend = true;
			}
		} else {
			let mouseXPos, valAtPosX, xPos;
			if (mode == 1) {
				mouseXPos = scaleX.ori == 0 ? mouseLeft1 : mouseTop1;
				valAtPosX = posToVal(mouseXPos, xScaleKey);
				idx = cursor.idx = closestIdx(valAtPosX, data[0], i0, i1);
				xPos = valToPosX(data[0][idx], scaleX, xDim, 0);
			}
			let _ptLft = -10;
			let _ptTop = -10;
			let _ptWid = 0;
			let _ptHgt = 0;
			let _centered = true;
			let _ptFill = "";
			let _ptStroke = "";
			for (let i = mode == 2 ? 1 : 0; i < series.length; i++) {
				let s = series[i];
				let idx1 = activeIdxs[i];
				let yVal1 = idx1 == null ? null : mode == 1 ? data[i][idx1] : data[i][1][idx1];
				let idx2 = cursor.dataIdx(self, i, idx, valAtPosX);
				let yVal2 = idx2 == null ? null : mode == 1 ? data[i][idx2] : data[i][1][idx2];
				shouldSetLegend = shouldSetLegend || yVal2 != yVal1 || idx2 != idx1;
				activeIdxs[i] = idx2;
				if (i > 0 && s.show) {
					let xPos2 = idx2 == null ? -10 : idx2 == idx ? xPos : valToPosX(mode == 1 ? data[0][idx2] : data[i][0][idx2], scaleX, xDim, 0);
					let yPos = yVal2 == null ? -10 : valToPosY(yVal2, mode == 1 ? scales[s.scale] : scales[s.facets[1].scale], yDim, 0);
					if (cursorFocus && yVal2 != null) {
						let mouseYPos = scaleX.ori == 1 ? mouseLeft1 : mouseTop1;
						let dist = abs(focus.dist(self, i, idx2, yPos, mouseYPos));
						if (dist < closestDist) {
							let bias = focus.bias;
							if (bias != 0) {
								let mouseYVal = posToVal(mouseYPos, s.scale);
								let seriesYValSign = yVal2 >= 0 ? 1 : -1;
								let mouseYValSign = mouseYVal >= 0 ? 1 : -1;
								if (mouseYValSign == seriesYValSign && (mouseYValSign == 1 ? bias == 1 ? yVal2 >= mouseYVal : yVal2 <= mouseYVal : bias == 1 ? yVal2 <= mouseYVal : yVal2 >= mouseYVal)) {
									closestDist = dist;
									closestSeries = i;
								}
							} else {
								closestDist = dist;
								closestSeries = i;
							}
						}
					}
					if (shouldSetLegend || cursorOnePt) {
						let hPos, vPos;
						if (scaleX.ori == 0) {
							hPos = xPos2;
							vPos = yPos;
						} else {
							hPos = yPos;
							vPos = xPos2;
						}
						let ptWid, ptHgt, ptLft, ptTop, ptStroke, ptFill, centered = true, getBBox = points.bbox;
						if (getBBox != null) {
							centered = false;
							let bbox = getBBox(self, i);
							ptLft = bbox.left;
							ptTop = bbox.top;
							ptWid = bbox.width;
							ptHgt = bbox.height;
						} else {
							ptLft = hPos;
							ptTop = vPos;
							ptWid = ptHgt = points.size(self, i);
						}
						ptFill = points.fill(self, i);
						ptStroke = points.stroke(self, i);
						if (cursorOnePt) {
							if (i == closestSeries && closestDist <= focus.prox) {
								_ptLft = ptLft;
								_ptTop = ptTop;
								_ptWid = ptWid;
								_ptHgt = ptHgt;
								_centered = centered;
								_ptFill = ptFill;
								_ptStroke = ptStroke;
							}
						} else {
							let pt = cursorPts[i];
							if (pt != null) {
								cursorPtsLft[i] = ptLft;
								cursorPtsTop[i] = ptTop;
								elSize(pt, ptWid, ptHgt, centered);
								elColor(pt, ptFill, ptStroke);
								elTrans(pt, ceil(ptLft), ceil(ptTop), plotWidCss, plotHgtCss);
							}
						}
					}
				}
			}
			if (cursorOnePt) {
				let p = focus.prox;
				if (shouldSetLegend || (focusedSeries == null ? closestDist <= p : closestDist > p || closestSeries != focusedSeries)) {
					let pt = cursorPts[0];
					if (pt != null) {
						cursorPtsLft[0] = _ptLft;
						cursorPtsTop[0] = _ptTop;
						elSize(pt, _ptWid, _ptHgt, _centered);
						elColor(pt, _ptFill, _ptStroke);
						elTrans(pt, ceil(_ptLft), ceil(_ptTop), plotWidCss, plotHgtCss);
					}
				}
			}
		}
		if (select.show && dragging) {
			if (src != null) {
				let [xKey, yKey] = syncOpts.scales;
				let [matchXKeys, matchYKeys] = syncOpts.match;
				let [xKeySrc, yKeySrc] = src.cursor.sync.scales;
				let sdrag = src.cursor.drag;
				dragX = sdrag._x;
				dragY = sdrag._y;
				if (dragX || dragY) {
					let { left, top, width, height } = src.select;
					let sori = src.scales[xKeySrc].ori;
					let sPosToVal = src.posToVal;
					let sOff, sDim, sc, a, b;
					let matchingX = xKey != null && matchXKeys(xKey, xKeySrc);
					let matchingY = yKey != null && matchYKeys(yKey, yKeySrc);
					if (matchingX && dragX) {
						if (sori == 0) {
							sOff = left;
							sDim = width;
						} else {
							sOff = top;
							sDim = height;
						}
						sc = scales[xKey];
						a = valToPosX(sPosToVal(sOff, xKeySrc), sc, xDim, 0);
						b = valToPosX(sPosToVal(sOff + sDim, xKeySrc), sc, xDim, 0);
						setSelX(min(a, b), abs(b - a));
					} else setSelX(0, xDim);
					if (matchingY && dragY) {
						if (sori == 1) {
							sOff = left;
							sDim = width;
						} else {
							sOff = top;
							sDim = height;
						}
						sc = scales[yKey];
						a = valToPosY(sPosToVal(sOff, yKeySrc), sc, yDim, 0);
						b = valToPosY(sPosToVal(sOff + sDim, yKeySrc), sc, yDim, 0);
						setSelY(min(a, b), abs(b - a));
					} else setSelY(0, yDim);
				} else hideSelect();
			} else {
				let rawDX = abs(rawMouseLeft1 - rawMouseLeft0);
				let rawDY = abs(rawMouseTop1 - rawMouseTop0);
				if (scaleX.ori == 1) {
					let _rawDX = rawDX;
					rawDX = rawDY;
					rawDY = _rawDX;
				}
				dragX = drag.x && rawDX >= drag.dist;
				dragY = drag.y && rawDY >= drag.dist;
				let uni = drag.uni;
				if (uni != null) {
					if (dragX && dragY) {
						dragX = rawDX >= uni;
						dragY = rawDY >= uni;
						if (!dragX && !dragY) {
							if (rawDY > rawDX) dragY = true;
							else dragX = true;
						}
					}
				} else if (drag.x && drag.y && (dragX || dragY)) dragX = dragY = true;
				let p0, p1;
				if (dragX) {
					if (scaleX.ori == 0) {
						p0 = mouseLeft0;
						p1 = mouseLeft1;
					} else {
						p0 = mouseTop0;
						p1 = mouseTop1;
					}
					setSelX(min(p0, p1), abs(p1 - p0));
					if (!dragY) setSelY(0, yDim);
				}
				if (dragY) {
					if (scaleX.ori == 1) {
						p0 = mouseLeft0;
						p1 = mouseLeft1;
					} else {
						p0 = mouseTop0;
						p1 = mouseTop1;
					}
					setSelY(min(p0, p1), abs(p1 - p0));
					if (!dragX) setSelX(0, xDim);
				}
				if (!dragX && !dragY) {
					setSelX(0, 0);
					setSelY(0, 0);
				}
			}
		}
		drag._x = dragX;
		drag._y = dragY;
		if (src == null) {
			if (_pub) {
				if (syncKey != null) {
					let [xSyncKey, ySyncKey] = syncOpts.scales;
					syncOpts.values[0] = xSyncKey != null ? posToVal(scaleX.ori == 0 ? mouseLeft1 : mouseTop1, xSyncKey) : null;
					syncOpts.values[1] = ySyncKey != null ? posToVal(scaleX.ori == 1 ? mouseLeft1 : mouseTop1, ySyncKey) : null;
				}
				pubSync(mousemove, self, mouseLeft1, mouseTop1, plotWidCss, plotHgtCss, idx);
			}
			if (cursorFocus) {
				let shouldPub = _pub && syncOpts.setSeries;
				let p = focus.prox;
				if (focusedSeries == null) {
					if (closestDist <= p) setSeries(closestSeries, FOCUS_TRUE, true, shouldPub);
				} else if (closestDist > p) setSeries(null, FOCUS_TRUE, true, shouldPub);
				else if (closestSeries != focusedSeries) setSeries(closestSeries, FOCUS_TRUE, true, shouldPub);
			}
		}
		if (shouldSetLegend) {
			legend.idx = idx;
			setLegend();
		}
		_fire !== false && fire("setCursor");
	}
	let rect = null;
	Object.defineProperty(self, "rect", { get() {
		if (rect == null) syncRect(false);
		return rect;
	} });
	function syncRect(defer = false) {
		if (defer) rect = null;
		else {
			rect = over.getBoundingClientRect();
			fire("syncRect", rect);
		}
	}
	function mouseMove(e, src, _l, _t, _w, _h, _i) {
		if (cursor._lock) return;
		if (dragging && e != null && e.movementX == 0 && e.movementY == 0) return;
		cacheMouse(e, src, _l, _t, _w, _h, _i, false, e != null);
		if (e != null) updateCursor(null, true, true);
		else updateCursor(src, true, false);
	}
	function cacheMouse(e, src, _l, _t, _w, _h, _i, initial, snap) {
		if (rect == null) syncRect(false);
		setCursorEvent(e);
		if (e != null) {
			_l = e.clientX - rect.left;
			_t = e.clientY - rect.top;
		} else {
			if (_l < 0 || _t < 0) {
				mouseLeft1 = -10;
				mouseTop1 = -10;
				return;
			}
			let [xKey, yKey] = syncOpts.scales;
			let syncOptsSrc = src.cursor.sync;
			let [xValSrc, yValSrc] = syncOptsSrc.values;
			let [xKeySrc, yKeySrc] = syncOptsSrc.scales;
			let [matchXKeys, matchYKeys] = syncOpts.match;
			let rotSrc = src.axes[0].side % 2 == 1;
			let xDim = scaleX.ori == 0 ? plotWidCss : plotHgtCss, yDim = scaleX.ori == 1 ? plotWidCss : plotHgtCss, _xDim = rotSrc ? _h : _w, _yDim = rotSrc ? _w : _h, _xPos = rotSrc ? _t : _l, _yPos = rotSrc ? _l : _t;
			if (xKeySrc != null) _l = matchXKeys(xKey, xKeySrc) ? getPos(xValSrc, scales[xKey], xDim, 0) : -10;
			else _l = xDim * (_xPos / _xDim);
			if (yKeySrc != null) _t = matchYKeys(yKey, yKeySrc) ? getPos(yValSrc, scales[yKey], yDim, 0) : -10;
			else _t = yDim * (_yPos / _yDim);
			if (scaleX.ori == 1) {
				let __l = _l;
				_l = _t;
				_t = __l;
			}
		}
		if (snap && (src == null || src.cursor.event.type == mousemove)) {
			if (_l <= 1 || _l >= plotWidCss - 1) _l = incrRound(_l, plotWidCss);
			if (_t <= 1 || _t >= plotHgtCss - 1) _t = incrRound(_t, plotHgtCss);
		}
		if (initial) {
			rawMouseLeft0 = _l;
			rawMouseTop0 = _t;
			[mouseLeft0, mouseTop0] = cursor.move(self, _l, _t);
		} else {
			mouseLeft1 = _l;
			mouseTop1 = _t;
		}
	}
	const _hideProps = {
		width: 0,
		height: 0,
		left: 0,
		top: 0
	};
	function hideSelect() {
		setSelect(_hideProps, false);
	}
	let downSelectLeft;
	let downSelectTop;
	let downSelectWidth;
	let downSelectHeight;
	function mouseDown(e, src, _l, _t, _w, _h, _i) {
		dragging = true;
		dragX = dragY = drag._x = drag._y = false;
		cacheMouse(e, src, _l, _t, _w, _h, _i, true, false);
		if (e != null) {
			onMouse(mouseup, doc, mouseUp, false);
			pubSync(mousedown, self, mouseLeft0, mouseTop0, plotWidCss, plotHgtCss, null);
		}
		let { left, top, width, height } = select;
		downSelectLeft = left;
		downSelectTop = top;
		downSelectWidth = width;
		downSelectHeight = height;
	}
	function mouseUp(e, src, _l, _t, _w, _h, _i) {
		dragging = drag._x = drag._y = false;
		cacheMouse(e, src, _l, _t, _w, _h, _i, false, true);
		let { left, top, width, height } = select;
		let hasSelect = width > 0 || height > 0;
		let chgSelect = downSelectLeft != left || downSelectTop != top || downSelectWidth != width || downSelectHeight != height;
		hasSelect && chgSelect && setSelect(select);
		if (drag.setScale && hasSelect && chgSelect) {
			let xOff = left, xDim = width, yOff = top, yDim = height;
			if (scaleX.ori == 1) xOff = top, xDim = height, yOff = left, yDim = width;
			if (dragX) _setScale(xScaleKey, posToVal(xOff, xScaleKey), posToVal(xOff + xDim, xScaleKey));
			if (dragY) for (let k in scales) {
				let sc = scales[k];
				if (k != xScaleKey && sc.from == null && sc.min != inf) _setScale(k, posToVal(yOff + yDim, k), posToVal(yOff, k));
			}
			hideSelect();
		} else if (cursor.lock) {
			cursor._lock = !cursor._lock;
			updateCursor(src, true, e != null);
		}
		if (e != null) {
			offMouse(mouseup, doc);
			pubSync(mouseup, self, mouseLeft1, mouseTop1, plotWidCss, plotHgtCss, null);
		}
	}
	function mouseLeave(e, src, _l, _t, _w, _h, _i) {
		if (cursor._lock) return;
		setCursorEvent(e);
		let _dragging = dragging;
		if (dragging) {
			let snapH = true;
			let snapV = true;
			let snapProx = 10;
			let dragH, dragV;
			if (scaleX.ori == 0) {
				dragH = dragX;
				dragV = dragY;
			} else {
				dragH = dragY;
				dragV = dragX;
			}
			if (dragH && dragV) {
				snapH = mouseLeft1 <= snapProx || mouseLeft1 >= plotWidCss - snapProx;
				snapV = mouseTop1 <= snapProx || mouseTop1 >= plotHgtCss - snapProx;
			}
			if (dragH && snapH) mouseLeft1 = mouseLeft1 < mouseLeft0 ? 0 : plotWidCss;
			if (dragV && snapV) mouseTop1 = mouseTop1 < mouseTop0 ? 0 : plotHgtCss;
			updateCursor(null, true, true);
			dragging = false;
		}
		mouseLeft1 = -10;
		mouseTop1 = -10;
		activeIdxs.fill(null);
		updateCursor(null, true, true);
		if (_dragging) dragging = _dragging;
	}
	function dblClick(e, src, _l, _t, _w, _h, _i) {
		if (cursor._lock) return;
		setCursorEvent(e);
		autoScaleX();
		hideSelect();
		if (e != null) pubSync(dblclick, self, mouseLeft1, mouseTop1, plotWidCss, plotHgtCss, null);
	}
	function syncPxRatio() {
		axes.forEach(syncFontSize);
		_setSize(self.width, self.height, true);
	}
	on(dppxchange, win, syncPxRatio);
	const events = {};
	events.mousedown = mouseDown;
	events.mousemove = mouseMove;
	events.mouseup = mouseUp;
	events.dblclick = dblClick;
	events["setSeries"] = (e, src, idx, opts) => {
		let seriesIdxMatcher = syncOpts.match[2];
		idx = seriesIdxMatcher(self, src, idx);
		idx != -1 && setSeries(idx, opts, true, false);
	};
	if (showCursor) {
		onMouse(mousedown, over, mouseDown);
		onMouse(mousemove, over, mouseMove);
		onMouse(mouseenter, over, (e) => {
			setCursorEvent(e);
			syncRect(false);
		});
		onMouse(mouseleave, over, mouseLeave);
		onMouse(dblclick, over, dblClick);
		cursorPlots.add(self);
		self.syncRect = syncRect;
	}
	const hooks = self.hooks = opts.hooks || {};
	function fire(evName, a1, a2) {
		if (deferHooks) hooksQueue.push([
			evName,
			a1,
			a2
		]);
		else if (evName in hooks) hooks[evName].forEach((fn) => {
			fn.call(null, self, a1, a2);
		});
	}
	(opts.plugins || []).forEach((p) => {
		for (let evName in p.hooks) hooks[evName] = (hooks[evName] || []).concat(p.hooks[evName]);
	});
	const seriesIdxMatcher = (self, src, srcSeriesIdx) => srcSeriesIdx;
	const syncOpts = assign({
		key: null,
		setSeries: false,
		filters: {
			pub: retTrue,
			sub: retTrue
		},
		scales: [xScaleKey, series[1] ? series[1].scale : null],
		match: [
			retEq,
			retEq,
			seriesIdxMatcher
		],
		values: [null, null]
	}, cursor.sync);
	if (syncOpts.match.length == 2) syncOpts.match.push(seriesIdxMatcher);
	cursor.sync = syncOpts;
	const syncKey = syncOpts.key;
	const sync = _sync(syncKey);
	function pubSync(type, src, x, y, w, h, i) {
		if (syncOpts.filters.pub(type, src, x, y, w, h, i)) sync.pub(type, src, x, y, w, h, i);
	}
	sync.sub(self);
	function pub(type, src, x, y, w, h, i) {
		if (syncOpts.filters.sub(type, src, x, y, w, h, i)) events[type](null, src, x, y, w, h, i);
	}
	self.pub = pub;
	function destroy() {
		sync.unsub(self);
		cursorPlots.delete(self);
		mouseListeners.clear();
		off(dppxchange, win, syncPxRatio);
		root.remove();
		legendTable?.remove();
		fire("destroy");
	}
	self.destroy = destroy;
	function _init() {
		fire("init", opts, data);
		setData(data || opts.data, false);
		if (pendScales[xScaleKey]) setScale(xScaleKey, pendScales[xScaleKey]);
		else autoScaleX();
		shouldSetSelect = select.show && (select.width > 0 || select.height > 0);
		shouldSetCursor = shouldSetLegend = true;
		_setSize(opts.width, opts.height);
	}
	series.forEach(initSeries);
	axes.forEach(initAxis);
	if (then) {
		if (then instanceof HTMLElement) {
			then.appendChild(root);
			_init();
		} else then(self, _init);
	} else _init();
	return self;
}
uPlot.assign = assign;
uPlot.fmtNum = fmtNum;
uPlot.rangeNum = rangeNum;
uPlot.rangeLog = rangeLog;
uPlot.rangeAsinh = rangeAsinh;
uPlot.orient = orient;
uPlot.pxRatio = pxRatio;
uPlot.join = join;
uPlot.fmtDate = fmtDate;
uPlot.tzDate = tzDate;
uPlot.sync = _sync;
{
	uPlot.addGap = addGap;
	uPlot.clipGaps = clipGaps;
	let paths = uPlot.paths = { points: points$1 };
	paths.linear = linear;
	paths.stepped = stepped;
	paths.bars = bars;
	paths.spline = monotoneCubic;
}
// src/ui/plot.ts
var height = 208;
/** A card with a plot. */
function Plot({ id, title, series }) {
	const at = useSignal(null), hidden = useSignal(/* @__PURE__ */ new Set()), asTable = useSignal(false);
	const read = series === null || at.value === null ? null : Math.min(at.value, series.steps - 1);
	const toggle = (name) => {
		const next = new Set(hidden.value);
		if (!next.delete(name)) next.add(name);
		hidden.value = next;
	};
	return card(title, { id }, [
		h("span", { class: "plot-time" }, series === null ? "" : read === null ? "latest" : stepName(series, read)),
		series && read !== null && marked(series, read).length > 0 ? h("span", {
			class: "chip",
			"data-tone": "bad"
		}, marked(series, read).join(", ")) : null,
		h("button", {
			type: "button",
			class: "plain small",
			"aria-pressed": String(asTable.value),
			onclick: () => {
				asTable.value = !asTable.value;
			}
		}, "Table")
	], h("figure", {
		class: "plot",
		"aria-label": title
	}, h("div", { class: "legend" }, (series?.lines ?? []).map((line) => {
		const shown = !hidden.value.has(line.name), value = line.values[read ?? line.values.length - 1] ?? null;
		return h("button", {
			type: "button",
			key: line.name,
			class: "legend-item",
			"aria-pressed": String(shown),
			title: shown ? `Hide ${line.name}` : `Show ${line.name}`,
			onclick: () => toggle(line.name)
		}, h("svg", {
			class: "swatch",
			width: 18,
			height: 8,
			"aria-hidden": "true"
		}, h("path", {
			class: `line ${line.look}`,
			d: "M0 4h18"
		})), h("span", null, line.name), h("output", null, value === null ? "–" : series.write(value)));
	})), asTable.value && series ? table(title, series) : h(Drawing, {
		title,
		series,
		hidden: hidden.value,
		at: read,
		read: (step) => {
			at.value = step;
		}
	})));
}
function Drawing({ title, series, hidden, at, read }) {
	const box = T(null), plot = T(null), latest = T(series);
	if (series) latest.current = series;
	const names = series?.lines.map((line) => line.name).join() ?? "";
	F$1(() => {
		if (!series) return;
		const drawn = plot.current = new uPlot(optionsOf(box.current, () => latest.current, read), dataOf(series), box.current);
		const observer = new ResizeObserver(([entry]) => drawn.setSize({
			width: Math.round(entry.contentRect.width),
			height
		}));
		observer.observe(box.current);
		return () => {
			observer.disconnect();
			drawn.destroy();
			plot.current = null;
		};
	}, [names, utc.value]);
	A$1(() => {
		if (series) plot.current?.setData(dataOf(series));
	}, [series]);
	A$1(() => series?.lines.forEach((line, i) => plot.current?.setSeries(i + 1, { show: !hidden.has(line.name) })), [
		names,
		hidden,
		utc.value
	]);
	A$1(() => plot.current?.redraw(false, true), [shade.value, utc.value]);
	A$1(() => {
		const drawn = plot.current;
		if (!drawn || !series) return;
		const left = at === null ? -10 : drawn.valToPos(drawn.data[0][at], "x");
		if (drawn.cursor.idx !== at) drawn.setCursor({
			left,
			top: 0
		}, false);
	}, [at, series]);
	const key = (event) => {
		if (!series) return;
		const last = series.steps - 1, from = at ?? last + (event.key === "ArrowLeft" ? 1 : 0);
		const next = {
			ArrowLeft: from - 1,
			ArrowRight: from + 1,
			Home: 0,
			End: last,
			PageUp: from - 10,
			PageDown: from + 10
		}[event.key];
		if (event.key === "Escape") read(null);
		if (next === void 0) return;
		event.preventDefault();
		read(Math.max(0, Math.min(last, next)));
	};
	return h("div", {
		class: "drawing",
		tabindex: 0,
		role: "group",
		"aria-roledescription": "plot",
		onkeydown: key,
		onblur: () => read(null),
		"aria-label": `${title}. ${series?.unit ?? ""}. Use the arrow keys to read its steps.`
	}, h("div", {
		class: "canvas",
		ref: box,
		"aria-hidden": "true"
	}), h("p", {
		class: "unseen",
		role: "status"
	}, series && at !== null ? spoken$1(series, at) : ""), series ? null : h("p", { class: "quiet centred" }, "Loading…"));
}
/** Returns the middles of the steps in seconds, and the values of each line. */
var dataOf = ({ from, step, steps, lines }) => [Array.from({ length: steps }, (_, i) => (from + (i + .5) * step) / 1e3), ...lines.map((line) => line.values)];
function optionsOf(box, series, read) {
	const color = (part) => () => getComputedStyle(box)[part];
	const axis = {
		stroke: color("color"),
		font: "11px system-ui, sans-serif",
		ticks: {
			stroke: color("borderTopColor"),
			width: 1,
			size: 4
		}
	};
	return {
		width: box.clientWidth,
		height,
		legend: { show: false },
		...utc.value ? { tzDate: (s) => uPlot.tzDate(/* @__PURE__ */ new Date(s * 1e3), "Etc/UTC") } : {},
		padding: [
			10,
			10,
			0,
			0
		],
		cursor: {
			y: false,
			drag: {
				x: false,
				y: false
			},
			points: { size: 7 }
		},
		scales: {
			x: { range: () => [series().from / 1e3, (series().from + series().steps * series().step) / 1e3] },
			y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] }
		},
		axes: [{
			...axis,
			size: 24,
			grid: { show: false },
			values: (_, ticks) => ticks.map((tick) => tickName(tick * 1e3, series()))
		}, {
			...axis,
			size: 56,
			grid: {
				stroke: color("borderTopColor"),
				width: 1
			},
			values: (_, ticks) => ticks.map((tick) => series().write(tick))
		}],
		series: [{}, ...series().lines.map(({ name, look }) => {
			const swatch = () => getComputedStyle(box.closest("figure").querySelector(`.swatch .${look}`));
			return {
				label: name,
				width: 1.75,
				stroke: () => swatch().stroke,
				dash: swatch().strokeDasharray.split(",").map(parseFloat).filter(Number.isFinite),
				points: {
					size: 4,
					fill: () => swatch().stroke,
					filter: alone
				}
			};
		})],
		hooks: {
			setCursor: [({ cursor: { idx } }) => read(idx ?? null)],
			drawClear: [(plot) => drawMarks(plot, series(), color("outlineColor")())],
			draw: [(plot) => drawBound(plot, series(), color("outlineColor")())]
		}
	};
}
/** Returns the steps whose neighbors have no value: no line shows them. */
function alone(plot, line) {
	const values = plot.data[line];
	return [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}
function drawMarks({ ctx, bbox, valToPos, scales }, { marks }, color) {
	const { min, max } = scales.x;
	ctx.save();
	ctx.fillStyle = color;
	for (const { from, to, critical } of marks ?? []) {
		const left = valToPos(Math.max(from / 1e3, min), "x", true), right = valToPos(Math.min(to === null ? Infinity : to / 1e3, max), "x", true);
		if (right < left) continue;
		ctx.globalAlpha = critical ? .16 : .08;
		ctx.fillRect(left, bbox.top, Math.max(right - left, 2 * devicePixelRatio), bbox.height);
		ctx.globalAlpha = .9;
		ctx.fillRect(left, bbox.top, 1.5 * devicePixelRatio, bbox.height);
	}
	ctx.restore();
}
function drawBound({ ctx, bbox, valToPos, scales }, { bound }, color) {
	if (!bound || bound.at > scales.y.max) return;
	const y = Math.round(valToPos(bound.at, "y", true)) + .5;
	ctx.save();
	Object.assign(ctx, {
		strokeStyle: color,
		fillStyle: color,
		textAlign: "right",
		font: `${11 * devicePixelRatio}px system-ui, sans-serif`
	});
	ctx.setLineDash([6, 4]);
	ctx.beginPath();
	ctx.moveTo(bbox.left, y);
	ctx.lineTo(bbox.left + bbox.width, y);
	ctx.stroke();
	ctx.fillText(bound.name, bbox.left + bbox.width, y - 5 * devicePixelRatio);
	ctx.restore();
}
function stepName({ from, step, other }, i) {
	const now = serverNow(), digits = step < 6e4 ? "seconds" : "minutes";
	const name = (start) => `${zonedClock(start + i * step, now, digits)} – ${zonedClock(start + (i + 1) * step, now, digits).slice(-(digits === "seconds" ? 8 : 5))}`;
	return other === void 0 ? name(from) : `${name(from)}, with ${name(other)}`;
}
/** Returns the names of what is marked in a step. */
var marked = ({ from, step, marks = [] }, i) => marks.filter((mark) => mark.from < from + (i + 1) * step && (mark.to ?? Infinity) >= from + i * step).map(({ name }) => name);
var spoken$1 = (series, i) => `${stepName(series, i)}: ${series.lines.map((line) => `${line.name} ${written$1(series, line, i)}`).join(", ")}${marked(series, i).map((name) => `. Alert: ${name}`).join("")}`;
function table(title, series) {
	const rows = [];
	for (let i = series.steps - 1; i >= 0; i--) rows.push(h("tr", { key: series.from + i * series.step }, h("th", { scope: "row" }, stepName(series, i)), series.lines.map((line) => h("td", {
		class: "number",
		key: line.name
	}, written$1(series, line, i)))));
	return h("div", {
		class: "scroll",
		tabindex: 0,
		role: "region",
		"aria-label": `${title}, as a table`
	}, h("table", null, h("caption", { class: "unseen" }, `${title}, ${series.unit}, newest first`), h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"), series.lines.map((line) => h("th", {
		scope: "col",
		class: "number",
		key: line.name
	}, line.name)))), h("tbody", null, rows)));
}
function written$1(series, line, i) {
	const value = line.values[i];
	return value === null || value === void 0 ? "–" : series.write(value);
}
function tickName(at, { steps, step }) {
	const length = steps * step;
	if (length > 1728e5) return zonedClock(at, 0, "minutes").slice(5);
	return zonedClock(at, at, length < 6e5 ? "seconds" : "minutes");
}
// src/views/alert_parts.ts
/** The unit of each kind's threshold. */
var units = {
	ERROR_RATE: "share",
	DISK_SPACE: "share",
	DELIVERY_LATENCY: "seconds",
	QUEUE_STALLED: "seconds",
	WEBHOOK_SILENCE: "seconds",
	READ_MODEL_STALE: "seconds",
	QUEUE_GROWTH: "perMinute",
	WEBHOOK_REJECTED: "number",
	SENDER_HELD: "none",
	BREAKER_OPEN: "none",
	QUALITY_LOW: "none",
	ACCOUNT_RESTRICTED: "none",
	MESSAGING_LIMIT_REACHED: "none",
	LEDGER_UNBALANCED: "none",
	OUTGOING_WEBHOOK_DISABLED: "none",
	TEMPLATE_PAUSED: "none",
	TEMPLATE_CATEGORY_CHANGED: "none",
	LOG_SHORTENED: "none"
};
/** The alert with its latest value. For alerts without a value, the summary that it was raised with. */
var summaryNow = (alert) => units[alert.kind] === "none" ? alert.summary : alert.current?.summary ?? alert.summary;
/** An alert in one line, for lists that link to it. */
var alertLine = (alert) => h("li", { key: alert.id }, chip(words(alert.severity), toneOf(alert.severity)), h("a", { href: "#/alerts" }, summaryNow(alert)), h("span", { class: "quiet" }, alert.state === "ACKNOWLEDGED" ? "acknowledged, " : "", alert.silence ? "silenced, " : "", "for ", ago(alert.raisedAt)));
// src/lib/ranges.ts
var minute = 6e4;
var day = 864e5;
var longest = 31 * day;
/** The steps of plots in minutes. Each divides the lengths that are usual. */
var steps = [
	1,
	2,
	3,
	5,
	10,
	15,
	30,
	60,
	180,
	360
];
var mostSteps = 300;
/** Parses a range, or returns why it is invalid. name is "first" or "second". */
function readRange(name, from, to, now) {
	const range = {
		from: momentOf(from) ?? NaN,
		to: momentOf(to) ?? NaN
	};
	for (const [end, text] of [["start", from], ["end", to]]) {
		if (text === "") return `The ${name} range has no ${end}. Enter one.`;
		if (momentOf(text) === null) return `The ${end} of the ${name} range, “${text}”, is not a time.`;
	}
	if (range.to <= range.from) return `The ${name} range ends ${range.to < range.from ? "before" : "when"} it starts.`;
	if (range.from >= now) return `The ${name} range starts in the future.`;
	if (range.to - range.from > longest) return `The ${name} range is longer than 31 days.`;
	if (range.from % minute !== 0 || range.to % minute !== 0) return `The ${name} range must start and end at a full minute, because metrics are kept by the minute.`;
	return range;
}
/** Returns the same time of day some days later, or earlier if days is negative. */
function shifted(at, days, utc) {
	const date = new Date(at);
	if (utc) date.setUTCDate(date.getUTCDate() + days);
	else date.setDate(date.getDate() + days);
	return date.getTime();
}
var midnight = (at, utc) => utc ? Math.floor(at / day) * day : new Date(at).setHours(0, 0, 0, 0);
/** The proposals for the first range. */
var firstRanges = [
	["hour", "the last hour"],
	["today", "today"],
	["yesterday", "yesterday"],
	["week", "the last 7 days"]
];
function firstRange(id, now, utc) {
	const to = Math.floor(now / minute) * minute, today = midnight(now, utc);
	switch (id) {
		case "today": return {
			from: today,
			to: Math.max(to, today + minute)
		};
		case "yesterday": return {
			from: shifted(today, -1, utc),
			to: today
		};
		case "week": return {
			from: to - 7 * day,
			to
		};
		default: return {
			from: to - 60 * minute,
			to
		};
	}
}
/** The proposals for the second range, which follow from the first. */
var secondRanges = [
	["before", "the period before"],
	["day", "a day earlier"],
	["week", "a week earlier"]
];
function secondRange(id, { from, to }, utc) {
	if (id === "before") return {
		from: from - (to - from),
		to: from
	};
	const days = id === "day" ? -1 : -7;
	return {
		from: shifted(from, days, utc),
		to: shifted(to, days, utc)
	};
}
/**
* Returns the proposal that the second range is, or an empty text. Several can be the same range: the period before a day is a day earlier.
* chosen takes precedence.
*/
var proposed = (first, second, utc, chosen = "") => [chosen, ...secondRanges.map(([id]) => id)].find((id) => {
	const { from, to } = secondRange(id, first, utc);
	return id && from === second.from && to === second.to;
}) ?? "";
/** Returns how long a range has lasted until now. */
var lasted = ({ from, to }, now) => Math.min(to, now) - from;
/** Returns the step of the plots of both ranges, in milliseconds. */
function stepOf(...ranges) {
	const longer = Math.max(...ranges.map(({ from, to }) => to - from));
	return minute * (steps.find((step) => longer / (step * minute) <= mostSteps) ?? steps.at(-1));
}
/** Returns warnings about comparing the two ranges. */
function cautions(first, second, now) {
	const found = [];
	for (const [name, range] of [["first", first], ["second", second]]) if (range.to > now) found.push(`The ${name} range has not ended, so its metrics cover only the time until now.`);
	const lengths = [lasted(first, now), lasted(second, now)], step = stepOf(first, second);
	if (lengths[0] !== lengths[1]) found.push("The ranges differ in length. Compare the rates, not the counts.");
	if (Math.max(first.from, second.from) < Math.min(first.to, second.to)) found.push("The ranges overlap, so some messages are counted in both.");
	if (lengths.some((length) => length % step !== 0)) found.push("The plots omit the last step of a range if it is incomplete. The metrics don't.");
	return found;
}
// src/views/compare.ts
var openEvery = 5e3;
var settled = 6e4;
/** The names of the times in the address. */
var fields = [
	"from",
	"to",
	"from2",
	"to2"
];
var texts = (first, second) => {
	const text = (at) => new Date(at).toISOString();
	return {
		from: text(first.from),
		to: text(first.to),
		from2: text(second.from),
		to2: text(second.to)
	};
};
/** What the overview compares, as an address: its window, with the one before. */
function comparisonOf(length, senderId) {
	const to = Math.floor(serverNow() / 6e4) * 6e4, first = {
		from: to - Math.max(length, 60) * 1e3,
		to
	};
	return new URLSearchParams({
		...texts(first, secondRange("before", first, utc.value)),
		...senderId ? { sender: senderId } : {}
	});
}
function compare(route) {
	const view = reactive({
		texts: {},
		senderId: null,
		shown: null,
		stray: "",
		fault: "",
		follows: ""
	});
	let stop = () => {};
	/** Returns both ranges, or why there are none. */
	function ranges() {
		if (view.stray) return view.stray;
		const { from, to, from2, to2 } = view.texts, now = serverNow();
		const first = readRange("first", from, to, now), second = readRange("second", from2, to2, now);
		return typeof first === "string" ? first : typeof second === "string" ? second : [first, second];
	}
	function moved(query) {
		stop();
		Object.assign(view, {
			texts: Object.fromEntries(fields.map((name) => [name, query.get(name) ?? ""])),
			senderId: figuresOf(query.get("sender")),
			stray: unknown(query, ...fields, "sender"),
			shown: null,
			fault: ""
		});
		if (fields.every((name) => !view.texts[name])) {
			const first = firstRange("hour", serverNow(), utc.value);
			return queueMicrotask(() => put(first, secondRange("day", first, utc.value)));
		}
		const asked = ranges();
		if (typeof asked === "string") return;
		view.follows = proposed(...asked, utc.value, view.follows);
		stop = poll(openEvery, () => load(asked));
	}
	/** Loads the metrics of both ranges. Returns true if they no longer change. */
	async function load([first, second]) {
		const { senderId } = view, step = stepOf(first, second), mine = view.texts, now = serverNow();
		const bounds = ({ from, to }) => ({
			senderId,
			from: new Date(from).toISOString(),
			to: new Date(to).toISOString()
		});
		const figuresIn = async (range) => (await ask(Range, {
			...bounds(range),
			length: duration((range.to - range.from) / 1e3)
		})).metricSeries[0].metrics;
		const pointsIn = async (range) => range.to - range.from < step ? [] : (await ask(Series, {
			...bounds(range),
			step: duration(step / 1e3)
		})).metricSeries.map(({ metrics }) => metrics);
		try {
			const [a, b, c, d] = await Promise.all([
				figuresIn(first),
				figuresIn(second),
				pointsIn(first),
				pointsIn(second)
			]);
			if (mine === view.texts) Object.assign(view, {
				shown: {
					at: now,
					first,
					second,
					step,
					figures: [a, b],
					points: [c, d]
				},
				fault: ""
			});
			return now > Math.max(first.to, second.to) + settled;
		} catch (error) {
			if (mine !== view.texts) return true;
			view.fault = messageOf(error);
			if (rejected(error)) return true;
			throw error;
		}
	}
	const put = (first, second) => setQuery({ ...texts(first, second) });
	moved(route.query);
	return {
		title: "Compare two time ranges",
		stop: () => stop(),
		moved,
		render
	};
	/** Changes one time. A second range that follows from the first continues to do so. */
	function change(name, field) {
		const next = {
			...view.texts,
			[name]: fromField(field)
		};
		if (name === "from2" || name === "to2") view.follows = "";
		const first = readRange("first", next.from, next.to, serverNow());
		if (view.follows && typeof first !== "string") put(first, secondRange(view.follows, first, utc.value));
		else setQuery({ ...next });
	}
	function range(title, names, proposals) {
		return h("div", {
			class: "filters range",
			role: "group",
			"aria-label": title
		}, h("h3", null, title), proposals, ["From", "To"].map((label, i) => h(textFilter, {
			key: label,
			label,
			type: "datetime-local",
			step: 60,
			value: toField(view.texts[names[i]]).slice(0, 16),
			onchange: (value) => change(names[i], value)
		})));
	}
	function render() {
		const asked = ranges(), { shown, fault, senderId, follows } = view, now = serverNow();
		const [first, second] = typeof asked === "string" ? [null, null] : asked;
		const chosen = first ? firstRanges.find(([id]) => {
			const { from, to } = firstRange(id, now, utc.value);
			return from === first.from && to === first.to;
		})?.[0] ?? "" : "";
		return h("div", { class: "board" }, h("div", { class: "page-head wide" }, h("h2", null, "Compare two time ranges"), h("div", { class: "tools" }, h("a", { href: "#/" }, "Overview"))), card("Time ranges", {
			id: "ranges",
			class: "wide"
		}, null, choose("Sender", senderId ?? "", figureChoices("all senders"), (value) => setQuery({ sender: value })), range("First range", ["from", "to"], choose("Range", chosen, [["", "other times"], ...firstRanges], (id) => {
			if (!id) return;
			const next = firstRange(id, serverNow(), utc.value);
			put(next, secondRange(follows || "before", next, utc.value));
		})), range("Second range", ["from2", "to2"], choose("Range", follows, [["", "other times"], ...secondRanges], (id) => {
			if (!id) return;
			view.follows = id;
			if (first) put(first, secondRange(id, first, utc.value));
		})), typeof asked === "string" || fault ? h("p", {
			class: "error",
			role: "alert"
		}, typeof asked === "string" ? asked : fault) : null, view.stray ? h("a", {
			class: "clear",
			href: "#/compare"
		}, "Clear all") : null), first && second ? [card("Metrics", {
			id: "compared",
			class: "wide"
		}, null, shown ? figures(shown) : quiet(fault ? "" : "Loading…"), cautions(first, second, now).map((text) => h("p", {
			key: text,
			class: "hint"
		}, text)), shown ? empty(shown) : null), plots.map(({ id, title, unit, write, pick }) => h(Plot, {
			key: id,
			id: `compare-${id}`,
			title,
			series: shown && seriesOf(shown, unit, write, pick)
		}))] : null);
	}
}
function empty({ figures }) {
	return ["first", "second"].map((name, i) => figures[i].queued + figures[i].sent + figures[i].delivered === 0 ? h("p", {
		key: name,
		class: "hint"
	}, `Nothing was queued, sent, or delivered in the ${name} range.`) : null);
}
var points = (value) => `${figure(value * 100)} points`;
var length$2 = (value) => value === 0 ? "0 s" : span(value);
/** The rows: a name, the metric of a range and the minutes it has lasted, how it is written, and how a difference is written. */
var rows$2 = [
	[
		"Queued",
		(f) => f.queued,
		count,
		count
	],
	[
		"Sent",
		(f) => f.sent,
		count,
		count
	],
	[
		"Sent per minute",
		(f, minutes) => f.sent / minutes,
		figure,
		figure
	],
	[
		"Delivered",
		(f) => f.delivered,
		count,
		count
	],
	[
		"Read",
		(f) => f.read,
		count,
		count
	],
	[
		"Failed",
		(f) => f.failed,
		count,
		count
	],
	[
		"Dead letters",
		(f) => f.deadLettered,
		count,
		count
	],
	[
		"Delivered of those sent",
		(f) => f.deliveryRate,
		percent,
		points
	],
	[
		"Error rate",
		(f) => f.errorRate,
		percent,
		points
	],
	[
		"Delivery p50",
		(f) => seconds(f.p50DeliveryLatency),
		length$2,
		length$2
	],
	[
		"Delivery p95",
		(f) => seconds(f.p95DeliveryLatency),
		length$2,
		length$2
	],
	[
		"Retried",
		(f) => f.retried,
		count,
		count
	],
	[
		"Throttled",
		(f) => f.throttled,
		count,
		count
	],
	[
		"Lost responses",
		(f) => f.ambiguous,
		count,
		count
	]
];
function figures({ at, first, second, figures: [a, b] }) {
	const names = [zonedRange(first.from, first.to), zonedRange(second.from, second.to)];
	return table$1({ class: "stack" }, `Metrics of ${names[0]} and of ${names[1]}`, [
		{ name: "Metric" },
		{
			name: names[0],
			class: "number"
		},
		{
			name: names[1],
			class: "number"
		},
		{
			name: "Difference",
			class: "number"
		}
	], rows$2.map(([name, pick, write, writeDifference]) => {
		const now = pick(a, lasted(first, at) / 6e4), before = pick(b, lasted(second, at) / 6e4), written = (value) => value === null ? "–" : write(value);
		return h("tr", { key: name }, h("th", { scope: "row" }, name), cell(names[0], { class: "number" }, written(now)), cell(names[1], { class: "number" }, written(before)), cell("Difference", { class: "number" }, now === null || before === null ? "–" : difference(now, before, writeDifference, write !== percent)));
	}));
}
var perMinute = (value) => `${figure(value)}/min`;
var plots = [
	{
		id: "sent",
		title: "Sent",
		unit: "messages per minute",
		write: perMinute,
		pick: (m, minutes) => m.sent / minutes
	},
	{
		id: "delivered",
		title: "Delivered",
		unit: "messages per minute",
		write: perMinute,
		pick: (m, minutes) => m.delivered / minutes
	},
	{
		id: "failed",
		title: "Failed or dead letters",
		unit: "messages per minute",
		write: perMinute,
		pick: (m, minutes) => (m.failed + m.deadLettered) / minutes
	},
	{
		id: "latency",
		title: "Delivery p95",
		unit: "time from the call to the delivery",
		write: length$2,
		pick: (m) => seconds(m.p95DeliveryLatency)
	}
];
/** Draws the past steps of both ranges from the left, so that each is at the same distance from the start of its range. */
function seriesOf({ at, first, second, step, points: [a, b] }, unit, write, pick) {
	const length = Math.max(a.length, b.length, 1);
	const line = (name, look, from, values) => ({
		name,
		look,
		values: Array.from({ length }, (_, i) => i < values.length && from + (i + 1) * step <= at ? pick(values[i], step / 6e4) : null)
	});
	return {
		from: first.from,
		step,
		steps: length,
		unit,
		write,
		other: second.from,
		lines: [line("first", "s-sent", first.from, a), line("second", "s-before", second.from, b)]
	};
}
// src/views/ledger_figures.ts
var columns$6 = [
	["accepted", "Accepted"],
	["open", "Open"],
	[
		"ambiguous",
		"Ambiguous",
		"warn"
	],
	["sent", "Sent"],
	["delivered", "Delivered"],
	["read", "Read"],
	[
		"failed",
		"Failed",
		"bad"
	],
	[
		"deadLettered",
		"Dead letters",
		"bad"
	],
	["cancelled", "Cancelled"],
	[
		"expired",
		"Expired",
		"warn"
	],
	["discarded", "Discarded"],
	["suppressed", "Suppressed"],
	[
		"sentTwice",
		"Sent twice",
		"warn"
	],
	[
		"overdue",
		"Overdue",
		"warn"
	]
];
var ledgerFigures = (books) => h("dl", { class: "figures ledger" }, columns$6.map(([column, name, tone]) => h("div", {
	key: column,
	"data-tone": books && tone && Number(books[column]) > 0 ? tone : null
}, h("dt", null, name), h("dd", null, books ? count(Number(books[column])) : "…"))));
var balanced = (books) => books === null ? chip("…", "wait", { id: "balanced" }) : chip(books.balanced ? "balanced" : "not balanced", books.balanced ? "good" : "bad", { id: "balanced" });
// src/views/queues.ts
var columns$5 = [
	{ name: "Sender" },
	{ name: "Lane" },
	{
		name: "Due",
		title: "Due and not yet accepted",
		class: "number"
	},
	{
		name: "Oldest due",
		class: "number"
	},
	{
		name: "Drain/min",
		title: "Messages that left the queue in the last minute",
		class: "number"
	},
	{
		name: "Empty in",
		title: "Time until the queue is empty at this drain rate",
		class: "number"
	},
	{
		name: "Scheduled",
		title: "Waiting for their sendAt",
		class: "number"
	}
];
/** Returns the time until a queue is empty at its drain rate: never, if messages are due but none leave. */
function emptyIn(sender) {
	if (sender.state !== "ACTIVE") return sender.queueDepth > 0 ? words(sender.state) : "–";
	if (sender.queueDepth > 0 && sender.breaker) return "no response";
	if (sender.queueDepth > 0 && sender.restrictions.some(({ holds }) => holds === "ALL")) return "restricted";
	if (sender.lanes.some((lane) => lane.depth > 0 && sender.pausedPriorities.includes(lane.priority))) return "paused";
	const left = seconds(sender.emptyIn);
	if (left !== null) return sender.queueDepth === 0 ? "–" : left < 1 ? "< 1 s" : span(left);
	return sender.queueDepth > 0 ? "never" : "–";
}
/** Reports whether something keeps messages of the sender from being sent. */
var hindered = (sender) => sender.state !== "ACTIVE" || sender.breaker !== null || sender.pausedPriorities.length > 0 || sender.restrictions.some(({ holds }) => holds !== "NOTHING");
/** The sender's state in a word or two: whatever keeps messages from being sent. */
function stateChip(sender) {
	if (sender.state === "ACTIVE" && sender.breaker) return chip("WhatsApp doesn't respond", "bad");
	if (sender.state === "ACTIVE" && sender.restrictions.some(({ holds }) => holds !== "NOTHING")) return chip("restricted", "bad");
	if (sender.state === "ACTIVE" && sender.pausedPriorities.length > 0) return chip(`${sender.pausedPriorities.map(laneName).join(", ")} paused`, "warn");
	return statusChip(sender.state);
}
function dueTone(age) {
	return age === null || age < 10 ? null : age < 60 ? "warn" : "bad";
}
function due(iso) {
	const age = seconds(iso);
	return age === null ? "–" : h("span", {
		class: "toned",
		"data-tone": dueTone(age)
	}, span(age < 1 ? age : Math.floor(age)));
}
function queuesTable(senders) {
	return table$1({ class: "stack queues" }, "Queues by sender and lane", columns$5, senders.map((sender) => h(Rows, {
		key: sender.id,
		sender
	})));
}
var Rows = memo(({ sender }) => h($, {}, h("tr", {
	key: sender.id,
	class: "total"
}, h("th", { scope: "row" }, h("a", { href: `#/senders/${encodeURIComponent(sender.id)}` }, sender.name), hindered(sender) ? [" ", stateChip(sender)] : null), cell("Lane", null, "all"), cell("Due", { class: "number" }, count(sender.queueDepth)), cell("Oldest due", { class: "number" }, due(sender.oldestDueAge)), cell("Drain/min", { class: "number" }, figure(sender.drainPerMinute)), cell("Empty in", { class: "number" }, emptyIn(sender) === "never" ? h("span", {
	class: "toned",
	"data-tone": "bad"
}, "never") : emptyIn(sender)), cell("Scheduled", { class: "number" }, count(sender.scheduled))), sender.lanes.map(({ priority, depth, oldestDueAge }) => h(LaneRow, {
	key: priority,
	priority,
	depth,
	oldestDueAge,
	paused: sender.pausedPriorities.includes(priority) && sender.state !== "PAUSED"
}))));
var LaneRow = memo(({ priority, depth, oldestDueAge, paused }) => h("tr", { class: "lane" }, h("td", { class: "skip-cell" }), cell("Lane", null, sentence(laneName(priority)), paused ? [" ", chip("paused", "warn")] : null), cell("Due", { class: "number" }, count(depth)), cell("Oldest due", { class: "number" }, due(oldestDueAge)), h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" })));
// src/views/series.ts
var unsettledSteps = 2;
var LiveSeries = class {
	data = y$1(null);
	window;
	senderId;
	before;
	end;
	/** Loads the series of the window that ends now, or that ended `before` milliseconds ago. */
	constructor(window, senderId, before = 0) {
		this.window = window;
		this.senderId = senderId;
		this.before = before;
		this.end = poll(Math.min(window.step * 500, 15e3), () => this.load());
	}
	get loaded() {
		return this.data.value;
	}
	stop() {
		this.end();
	}
	async load() {
		const { from, to } = stepBounds(serverNow() - 1500 - this.before, this.window);
		const step = this.window.step * 1e3;
		if (this.data.value && this.data.value.from > from + step) this.data.value = null;
		const before = this.data.value;
		if (before && before.from + before.points.length * step >= to) return;
		const known = before ? before.from + Math.max(0, before.points.length - unsettledSteps) * step : from;
		const begin = Math.max(from, known);
		const { metricSeries } = await ask(Series, {
			senderId: this.senderId,
			from: new Date(begin).toISOString(),
			to: new Date(to).toISOString(),
			step: duration(this.window.step)
		});
		const kept = before && known >= from ? before.points.slice(Math.max(0, (from - before.from) / step), (known - before.from) / step) : [];
		this.data.value = {
			from,
			step,
			points: [...kept, ...metricSeries.map((point) => point.metrics)]
		};
	}
};
// src/views/overview.ts
var alertsEvery = 1e4;
var pausesEvery = 1e4;
var alertsMarked = 50;
var nowSpan = 10;
function read$6(query) {
	return {
		invalid: unlisted(query, "window", windows.map(({ id }) => id)) || unlisted(query, "compare", ["previous"]) || unknown(query, "window", "compare", "sender"),
		compare: query.get("compare") === "previous",
		window: windows.find(({ id }) => id === query.get("window")) ?? windows[1],
		senderId: figuresOf(query.get("sender"))
	};
}
function overview(route) {
	const view = reactive({
		...read$6(route.query),
		live: null,
		now: null,
		books: null,
		rules: [],
		alerts: [],
		series: null,
		previous: null,
		pausedCampaigns: 0
	});
	let ends = [];
	function begin() {
		end();
		[view.live, view.now, view.books, view.alerts] = [
			null,
			null,
			null,
			[]
		];
		if (view.invalid) return;
		const { senderId } = view, mine = ends;
		view.series = new LiveSeries(view.window, view.senderId);
		view.previous = view.compare ? new LiveSeries(view.window, view.senderId, view.window.seconds * 1e3) : null;
		ends.push(follow(view.window.seconds, view.window.seconds > 3600 ? 5 : 2, (metrics) => {
			view.live = metrics;
		}), follow(nowSpan, 1, (metrics) => {
			view.now = metrics;
		}));
		if (!forbidden(Ledger)) ends.push(poll(2e3, async () => {
			const { ledger: books } = await ask(Ledger, { senderId });
			sawServerTime(books.asOf);
			if (mine === ends) view.books = books;
		}));
		ends.push(poll(alertsEvery, async () => {
			const { alerts: { edges } } = await ask(Alerts, {
				filter: { senderId },
				first: alertsMarked
			});
			if (mine === ends) view.alerts = edges.map(({ node }) => node);
			for (const { node } of edges) if (state.alerts.has(node.id)) putAlert(node);
		}));
		ends.push(poll(6e4, async () => {
			view.rules = (await ask(AlertRules, {})).alertRules;
		}));
		ends.push(poll(pausesEvery, async () => {
			view.pausedCampaigns = (await ask(CampaignPauses, {})).campaignPauses.length;
		}));
	}
	function end() {
		view.series?.stop();
		view.previous?.stop();
		for (const stop of ends) stop();
		[view.series, view.previous, ends] = [
			null,
			null,
			[]
		];
	}
	/** Follows the metrics while the tab is visible. */
	function follow(length, every, take) {
		let stop = null;
		const turn = () => {
			stop?.();
			stop = document.hidden ? null : connection.subscribe(LiveMetrics, {
				senderId: view.senderId,
				window: duration(length),
				every: duration(every)
			}, {
				refused: report,
				next: ({ metrics }) => {
					sawServerTime(metrics.at);
					take(metrics);
				}
			});
		};
		turn();
		document.addEventListener("visibilitychange", turn);
		return () => {
			document.removeEventListener("visibilitychange", turn);
			stop?.();
		};
	}
	begin();
	return {
		title: "Overview",
		stop: end,
		moved: (query) => {
			const asked = () => [
				view.window.id,
				view.senderId,
				view.compare,
				view.invalid
			].join(), before = asked();
			Object.assign(view, read$6(query));
			if (asked() !== before) begin();
		},
		render: () => {
			if (view.invalid) return card("Overview", {
				id: "no-overview",
				class: "wide"
			}, null, h("p", {
				class: "error",
				role: "alert"
			}, view.invalid), quiet(h("a", { href: "#/" }, "Show the overview"), "."));
			const shown = state.senders?.filter((sender) => !view.senderId || sender.id === view.senderId) ?? [];
			const open = openAlerts().filter((alert) => !view.senderId || !alert.sender || alert.sender.id === view.senderId);
			const loaded = view.series?.loaded ?? null, previous = view.previous?.loaded ?? null;
			const marks = (kinds) => view.alerts.filter(({ kind }) => kinds.includes(kind)).map(({ raisedAt, resolvedAt, summary, severity }) => ({
				from: Date.parse(raisedAt),
				to: resolvedAt && Date.parse(resolvedAt),
				name: summary,
				critical: severity === "CRITICAL"
			}));
			const latency = latencySeries(loaded, previous, boundOf(view.rules, view.senderId)), throughput = throughputSeries(loaded, previous);
			return h("div", { class: "board" }, h("div", {
				class: "filters wide",
				role: "group",
				"aria-label": "Filters"
			}, choose("Sender", view.senderId ?? "", figureChoices("all senders"), (value) => setQuery({ sender: value }), { id: "sender-filter" }), segments("Window", view.window.id, windows.map(({ id, name }) => [id, name]), (id) => setQuery({ window: id })), choose("Compare with", view.compare ? "previous" : "", [["", "nothing"], ["previous", `the previous ${view.window.name}`]], (value) => setQuery({ compare: value }), { id: "compare" }), h("a", { href: link(["compare"], comparisonOf(view.window.seconds, view.senderId)) }, "Compare two time ranges")), tiles(view.now, view.live, view.window.name), view.compare ? comparison(loaded, previous, view.window.name) : null, h(Plot, {
				id: "throughput",
				title: "Throughput",
				series: throughput && {
					...throughput,
					marks: marks([
						"ERROR_RATE",
						"QUEUE_GROWTH",
						"QUEUE_STALLED",
						"SENDER_HELD",
						"BREAKER_OPEN",
						"WEBHOOK_SILENCE"
					])
				}
			}), h(Plot, {
				id: "latency",
				title: "Delivery latency",
				series: latency && {
					...latency,
					marks: marks(["DELIVERY_LATENCY"])
				}
			}), open.length > 0 ? card(["Open alerts ", chip(count(open.length), open.every(({ silence }) => silence) ? "warn" : "bad")], {
				id: "open-alerts",
				class: "wide"
			}, h("a", { href: "#/alerts" }, "All alerts"), h("ul", { class: "alert-lines" }, open.slice(0, 4).map(alertLine))) : null, card("Errors by type", { id: "errors" }, h("span", { class: "quiet" }, `last ${view.window.name}`), errors(view.live, view.senderId)), card("Queues", { id: "queues" }, view.pausedCampaigns > 0 ? h("a", { href: "#/campaigns" }, plural(view.pausedCampaigns, "paused campaign")) : null, state.senders?.length === 0 ? quiet("No senders yet. ", h("a", { href: "#/senders" }, "Register one"), ".") : queuesTable(shown)), forbidden(Ledger) ? null : card(["Ledger ", balanced(view.books)], {
				id: "ledger",
				class: "wide"
			}, h("a", { href: "#/ledger" }, "Ledger and log"), ledgerFigures(view.books)));
		}
	};
}
function boundOf(rules, senderId) {
	const latency = rules.filter((rule) => rule.kind === "DELIVERY_LATENCY" && rule.enabled);
	return latency.find((rule) => rule.senderId === senderId) ?? latency.find((rule) => rule.senderId === null) ?? null;
}
function tile(key, name, value, note, tone = null) {
	return h("div", {
		key,
		class: "tile",
		"data-tone": tone,
		id: `tile-${key}`
	}, h("dt", null, name), h("dd", null, h("strong", null, value), h("span", { title: note }, note)));
}
function tiles(now, live, window) {
	const perSecond = now ? now.sent / nowSpan : null;
	const p95 = seconds(live?.p95DeliveryLatency);
	const due = seconds(now?.oldestDueAge);
	return h("dl", { class: "tiles wide" }, tile("rate", "Sent now", perSecond === null ? "…" : `${figure(perSecond)}/s`, live ? `${figure(live.sentPerMinute)}/min in ${window}` : "…"), tile("delivered", "Delivered", live ? percent(live.deliveryRate) : "…", live ? live.deliveryRate === null ? `none sent in ${window}` : `of those sent in ${window}` : "…"), tile("errors", "Error rate", live ? percent(live.errorRate) : "…", live ? `${count(live.failed + live.deadLettered)} failed or dead` : "…", live?.errorRate && live.errorRate > .02 ? "bad" : null), tile("latency", "Delivery p95", p95 === null ? live ? "–" : "…" : span(p95), live ? `average ${span(seconds(live.averageDeliveryLatency))}` : "…"), tile("queue", "Queue", now ? count(now.queueDepth) : "…", now ? due === null ? "nothing due" : `oldest ${due < 1 ? span(due) : age(due)}` : "…", due !== null && due > 60 ? "bad" : due !== null && due > 10 ? "warn" : null), tile("retried", "Retried", live ? count(live.retried) : "…", live ? `${count(live.throttled)} throttled, ${count(live.ambiguous)} lost` : "…"), tile("dead", "Dead letters", state.deadLetters === null ? "…" : count(state.deadLetters), "await a decision", state.deadLetters ? "bad" : null), tile("behind", "Read model", state.behind === null ? "…" : state.behind < 1 ? "current" : span(state.behind), (state.behind ?? 0) < 1 ? "up to date" : "behind the event log", (state.behind ?? 0) > 5 ? "warn" : null));
}
/** The values of a line in the previous period, at the steps of this one. Both are loaded on their own, so one can be a step ahead. */
function earlier(loaded, previous, pick) {
	if (!previous) return null;
	const ahead = Math.round((loaded.from - previous.from) / loaded.step) - loaded.points.length;
	return loaded.points.map((_, i) => {
		const point = previous.points[i + ahead];
		return point ? pick(point) : null;
	});
}
function throughputSeries(loaded, previous) {
	if (!loaded) return null;
	const { from, step, points } = loaded;
	const perMinute = Math.max(...points.map((point) => Math.max(point.queued, point.sent, point.delivered)), 0) / (step / 1e3) < .5;
	const factor = (perMinute ? 6e4 : 1e3) / step;
	const rate = (pick) => points.map((point) => pick(point) * factor);
	const before = earlier(loaded, previous, (m) => m.sent * factor);
	return {
		from,
		step,
		steps: points.length,
		unit: perMinute ? "messages per minute" : "messages per second",
		write: (value) => `${figure(value)}${perMinute ? "/min" : "/s"}`,
		lines: [
			{
				name: "queued",
				look: "s-queued",
				values: rate((m) => m.queued)
			},
			{
				name: "sent",
				look: "s-sent",
				values: rate((m) => m.sent)
			},
			{
				name: "delivered",
				look: "s-delivered",
				values: rate((m) => m.delivered)
			},
			{
				name: "failed",
				look: "s-failed",
				values: rate((m) => m.failed)
			},
			{
				name: "dead",
				look: "s-dead",
				values: rate((m) => m.deadLettered)
			},
			...before ? [{
				name: "sent before",
				look: "s-before",
				values: before
			}] : []
		]
	};
}
function latencySeries(loaded, previous, rule) {
	if (!loaded) return null;
	const { from, step, points } = loaded, before = earlier(loaded, previous, (m) => seconds(m.p95DeliveryLatency));
	const line = (name, look, pick) => ({
		name,
		look,
		values: points.map((point) => seconds(pick(point)))
	});
	return {
		from,
		step,
		steps: points.length,
		unit: "time from the call to the delivery",
		write: (value) => value === 0 ? "0 s" : span(value),
		bound: rule ? {
			at: rule.threshold,
			name: `alert on ${words(rule.statistic)}`
		} : null,
		lines: [
			line("p50", "s-p50", (m) => m.p50DeliveryLatency),
			line("p95", "s-p95", (m) => m.p95DeliveryLatency),
			line("p99", "s-p99", (m) => m.p99DeliveryLatency),
			line("average", "s-average", (m) => m.averageDeliveryLatency),
			...before ? [{
				name: "p95 before",
				look: "s-before",
				values: before
			}] : []
		]
	};
}
var compared = [
	["Queued", (m) => m.queued],
	["Sent", (m) => m.sent],
	["Delivered", (m) => m.delivered],
	["Failed", (m) => m.failed],
	["Dead letters", (m) => m.deadLettered]
];
/** The counts of this period and of the one before it. */
function comparison(loaded, previous, window) {
	const sum = ({ points }, pick) => points.reduce((total, point) => total + pick(point), 0);
	return card(`Compared with the previous ${window}`, {
		id: "comparison",
		class: "wide"
	}, null, !loaded || !previous ? quiet("Loading…") : table$1({ class: "stack" }, "Counts of this period and the previous one", [
		{ name: "Messages" },
		{
			name: `Last ${window}`,
			class: "number"
		},
		{
			name: `${window} before`,
			class: "number"
		},
		{
			name: "Change",
			class: "number"
		}
	], compared.map(([name, pick]) => {
		const now = sum(loaded, pick), before = sum(previous, pick);
		return h("tr", { key: name }, h("th", { scope: "row" }, name), cell(`Last ${window}`, { class: "number" }, count(now)), cell(`${window} before`, { class: "number" }, count(before)), cell("Change", { class: "number" }, difference(now, before, count)));
	})));
}
var errorColumns = [
	{ name: "Class" },
	{ name: "Category" },
	{
		name: "Code",
		class: "number"
	},
	{
		name: "Count",
		class: "number"
	},
	{
		name: "Rate",
		title: "Fraction of all calls and statuses",
		class: "number"
	}
];
var errorsShown = 12;
function errors(live, senderId) {
	if (!live) return quiet("Loading…");
	if (live.errorsByType.length === 0) return quiet("No failed calls or statuses.");
	const most = live.errorsByType[0].count;
	const rest = live.errorsByType.slice(errorsShown);
	const more = rest.length > 0 ? quiet(`${plural(rest.length, "rarer type")} with ${plural(rest.reduce((sum, error) => sum + error.count, 0), "failure")} in all.`) : null;
	return [table$1({ class: "errors" }, "Failed calls and statuses by type", errorColumns, live.errorsByType.slice(0, errorsShown).map((error) => {
		const search = new URLSearchParams({
			category: error.category,
			...senderId ? { sender: senderId } : {}
		});
		if (error.code !== null) search.set("code", String(error.code));
		return h("tr", { key: `${error.class} ${error.category} ${error.code}` }, h("td", null, chip(words(error.class), toneOf(error.class))), h("td", null, h("a", {
			href: `#/messages?${search}`,
			title: "Messages whose last failure is of this type"
		}, words(error.category))), h("td", { class: "number" }, error.code ?? "–"), cell("Count", { class: "number" }, h("span", { class: "bar-cell" }, h("span", {
			class: "bar-fill",
			"aria-hidden": "true",
			style: { width: `${Math.max(2, error.count / most * 100)}%` }
		}), count(error.count))), h("td", { class: "number" }, percent(error.rate)));
	})), more];
}
// src/ui/pager.ts
var pageOf = (query) => ({
	after: query.get("after"),
	number: Math.max(1, Math.floor(Number(query.get("page"))) || 1)
});
/** Changes a filter of a list, and goes to its first page. */
var setFilter = (change) => setQuery({
	...change,
	after: null,
	page: null
});
/** The names of the buttons of a list that begins with the newest. */
var byTime = ["Newer", "Older"];
/** The buttons that turn pages, with their names. The browser's history has an entry for each, with the cursors of the pages before it. */
function pager(page, next, [previous, following], ...notes) {
	const before = (history.state?.before ?? []).slice(0, page.number - 1);
	const turn = (to, earlier) => setQuery({
		after: to.after,
		page: String(to.number)
	}, { before: earlier });
	return h("nav", {
		class: "pager",
		"aria-label": "Pages"
	}, button(previous, () => {
		if (before.length === page.number - 1) turn({
			after: before.at(-1) ?? null,
			number: page.number - 1
		}, before.slice(0, -1));
		else turn({
			after: null,
			number: 1
		}, []);
	}, { disabled: page.number <= 1 }), h("span", { class: "quiet" }, `Page ${page.number}`), button(following, () => turn({
		after: next,
		number: page.number + 1
	}, [...before, page.after]), {
		disabled: next === null,
		id: "older"
	}), notes.map((note, i) => h("span", {
		key: i,
		class: "quiet"
	}, note)));
}
// src/views/actions.ts
/** Counts the selected messages with a dry run on the server, and asks for confirmation. */
function bulk({ title, close, verb, says, button, danger, reason, none, count: dryRun, run }, what, ended, started = () => {}) {
	const dry = reactive({
		selected: null,
		fault: ""
	});
	dryRun().then((progress) => {
		dry.selected = progress.selected;
	}, (error) => {
		dry.fault = error.message;
	});
	openDialog({
		title,
		danger,
		...close ? { close } : {},
		label: () => dry.selected ? button(dry.selected) : null,
		body: () => [
			h("p", { id: "dry-run" }, dry.fault ? h("span", { class: "error" }, dry.fault) : dry.selected === null ? "Counting…" : dry.selected === 0 ? none : says(dry.selected)),
			quiet(what),
			reason ? field("Reason", h("input", {
				name: "reason",
				required: true,
				autocomplete: "off",
				placeholder: "Recorded in the history"
			})) : null
		],
		run: async (values) => {
			const progress = await run(values.reason ?? "");
			started();
			watch(verb, progress, ended);
		}
	});
}
var noDeadLetter = "No dead letters match the selection.";
function requeueDeadLetters(input, what, ended, started) {
	const send = (dryRun) => ask(Requeue, {
		input,
		dryRun
	}).then((data) => data.requeueDeadLetters);
	bulk({
		title: "Requeue dead letters",
		verb: verbs.REQUEUE,
		danger: false,
		reason: false,
		none: noDeadLetter,
		says: (n) => `${plural(n, "message")} will be sent again, each with a new retry budget.`,
		button: (n) => `Requeue ${count(n)}`,
		count: () => send(true),
		run: () => send(false)
	}, what, ended, started);
}
function discardDeadLetters(input, what, ended, started) {
	const send = (dryRun, reason) => ask(Discard, {
		input,
		reason,
		dryRun
	}).then((data) => data.discardDeadLetters);
	bulk({
		title: "Discard dead letters",
		verb: verbs.DISCARD,
		danger: true,
		reason: true,
		none: noDeadLetter,
		says: (n) => `${plural(n, "message")} will be permanently discarded. Their history remains.`,
		button: (n) => `Discard ${count(n)}`,
		count: () => send(true, "count"),
		run: (reason) => send(false, reason)
	}, what, ended, started);
}
/** Cancels all waiting messages that match a filter. */
function cancelMessages(filter, what, ended) {
	const send = (dryRun, reason) => ask(CancelMany, {
		input: { filter },
		reason,
		dryRun
	}).then((data) => data.cancelMessages);
	bulk({
		title: "Cancel messages",
		close: "Don't cancel",
		verb: verbs.CANCEL,
		danger: true,
		reason: true,
		none: "No waiting messages match the filter.",
		says: (n) => `${plural(n, "waiting message")} will be cancelled.`,
		button: (n) => `Cancel ${count(n)}`,
		count: () => send(true, "count"),
		run: (reason) => send(false, reason)
	}, what ? `All messages with ${what}.` : "All messages.", ended);
}
function cancelMessage(id, ended) {
	openDialog({
		title: "Cancel message",
		danger: true,
		close: "Don't cancel",
		label: () => "Cancel message",
		body: () => [h("p", null, "The message will not be sent. After a call to WhatsApp has started, it can no longer be cancelled."), field("Reason", h("input", {
			name: "reason",
			autocomplete: "off"
		}), "Optional. Recorded in the message's history.")],
		run: async (values) => {
			await ask(Cancel, {
				id,
				reason: values.reason ?? null
			});
			note("Message cancelled.");
			ended();
		}
	});
}
/** Records that a person opted out of a sender's marketing, or in again. */
function setOptOut(of, optedOut, ended) {
	const { senderId, to, toUserId } = of;
	openDialog({
		title: optedOut ? "Opt out of marketing" : "Opt in to marketing",
		label: () => optedOut ? "Opt out" : "Opt in",
		body: () => [h("p", null, optedOut ? "Records that this person wants no marketing from the sender." : "Records that this person wants marketing from the sender again. Do this only if they asked for it."), field("Reason", h("input", {
			name: "reason",
			required: true,
			autocomplete: "off"
		}), "Recorded. Without personal data.")],
		run: async ({ reason }) => {
			ended((await ask(SetOptOut, {
				senderId,
				...to === null ? { toUserId } : { to },
				optedOut,
				reason
			})).setOptOut);
			note(optedOut ? "Opted out." : "Opted in.");
		}
	});
}
// src/views/campaign_parts.ts
/** The statuses in which the outcome of a message's calls is open. */
var open = [
	"QUEUED",
	"SENDING",
	"RETRYING",
	"AMBIGUOUS"
];
var delivered = ["DELIVERED", "READ"];
var accepted = ["SENT", ...delivered];
var failed = [
	"FAILED",
	"DEAD_LETTERED",
	"EXPIRED"
];
var withheld = [
	"CANCELLED",
	"DISCARDED",
	"SUPPRESSED"
];
var sumOf = (counts, of) => counts.reduce((sum, { status, count: n }) => sum + (!of || of.includes(status) ? n : 0), 0);
/** The progress, the result, and the count of each status. href returns the list of the messages with a status, if there is one. */
function campaignFigures(counts, href) {
	const total = sumOf(counts), left = sumOf(counts, open), sent = sumOf(counts, accepted);
	if (total === 0) return quiet("No messages have this label.");
	return h("div", { class: "campaign" }, h("label", { class: "progress" }, h("span", null, left === 0 ? `Finished: ${plural(total, "message")}` : `${percent((total - left) / total)} done, ${plural(left, "message")} waiting`), h("progress", {
		id: "campaign-progress",
		value: total - left,
		max: total
	})), facts([
		["Accepted by WhatsApp", `${count(sent)} of ${count(total)}`],
		["Delivered", `${count(sumOf(counts, delivered))} of ${count(sent)}${sent > 0 ? ` (${percent(sumOf(counts, delivered) / sent)})` : ""}`],
		["Read", count(sumOf(counts, ["READ"]))],
		["Failed or expired", count(sumOf(counts, failed))],
		["Withheld", count(sumOf(counts, withheld))]
	]), table$1({
		class: "stack",
		id: "campaign-counts"
	}, "Messages by status", [{ name: "Status" }, {
		name: "Messages",
		class: "number"
	}], counts.filter(({ count: n }) => n > 0).map(({ status, count: n }) => h("tr", { key: status }, h("td", null, href ? h("a", {
		href: href(status),
		"aria-label": `Messages: ${words(status)}`
	}, statusChip(status)) : statusChip(status)), h("td", { class: "number" }, count(n))))));
}
/** Who paused a campaign, when, and why. effect says what the pause does. */
var pausedBy = ({ reason, since, by }, effect) => h("div", {
	class: "callout paused",
	"data-tone": "warn"
}, h("p", null, h("strong", null, "Paused"), " since ", time(since, "seconds"), ` by ${actorOf(by)}: `, h("q", null, reason), ". ", effect));
// src/views/messages.ts
var pageSize$6 = 50;
var rowLimit = 40;
var rowsPerSecond = 3;
var troubledPerSecond = 2;
var busy = 400;
var busyEvery = 2e3;
var listEvery = 4e3;
var countEvery = 1e4;
var busyRounds = 15;
var troubled = [
	"RETRYING",
	"AMBIGUOUS",
	"FAILED",
	"DEAD_LETTERED",
	"EXPIRED"
];
function messages(route) {
	const view = reactive({
		filters: {},
		list: null
	});
	function begin(query) {
		view.list?.stop();
		view.filters = fromQuery(query);
		view.list = null;
		if (view.filters.invalid) return;
		const followed = Object.keys(view.filters).every((name) => name === "sender" || name === "status") && !query.has("page");
		view.list = followed ? new Feed(view.filters) : new Pages(view.filters, pageOf(query));
	}
	begin(route.query);
	return {
		title: "Messages",
		stop: () => view.list?.stop(),
		moved: begin,
		render: () => view.list ? h("div", { class: "board" }, filterBar(view.filters, view.list instanceof Feed), view.list.render()) : astray("Messages", view.filters.invalid, "#/messages")
	};
}
function messageFilter(filters) {
	return {
		senderId: filters.sender ?? null,
		status: filters.status ?? null,
		to: filters.to ?? null,
		toUserId: filters.user ?? null,
		idempotencyKey: filters.key ?? null,
		whatsappId: filters.wamid ?? null,
		labels: filters.labels ?? null,
		type: filters.type ?? null,
		priority: filters.priority ?? null,
		template: filters.template ?? null,
		errorCategory: filters.category ?? null,
		errorCode: filters.code ?? null,
		overdue: filters.overdue ?? null,
		queuedAfter: filters.from ?? null,
		queuedBefore: filters.until ?? null
	};
}
function filterBar(filters, live) {
	const change = (next) => go(link(["messages"], withPage(toQuery(next), !live)));
	const { status: chosen = [], overdue } = filters;
	const status = overdue ? "overdue" : chosen.length === troubled.length && troubled.every((s) => chosen.includes(s)) ? "trouble" : chosen.length > 1 ? "several" : chosen[0] ?? "";
	const rest = { ...filters };
	delete rest.overdue;
	if (!overdue && status !== "several") delete rest.status;
	for (const name of [
		"sender",
		"type",
		"priority",
		"from",
		"until"
	]) delete rest[name];
	const parts = describe$1(rest);
	const set = (name, value) => {
		const next = { ...filters };
		if (value) next[name] = value;
		else delete next[name];
		change(next);
	};
	return h("div", {
		class: "filters wide",
		role: "group",
		"aria-label": "Filters"
	}, choose("Status", status, [
		["", "all"],
		["trouble", "in trouble"],
		["overdue", "overdue"],
		...statuses$1.map((s) => [s, words(s)])
	], (value) => {
		const next = { ...filters };
		delete next.overdue;
		if (value === "overdue") next.overdue = true;
		if (value === "trouble") next.status = [...troubled];
		else if (value && value !== "overdue") next.status = [value];
		else delete next.status;
		change(next);
	}, { id: "status-filter" }), choose("Sender", filters.sender ?? "", senderChoices("all"), (value) => set("sender", value)), choose("Type", filters.type ?? "", [["", "all"], ...types.map((t) => [t, words(t)])], (value) => set("type", value)), choose("Lane", filters.priority ?? "", [["", "all"], ...priorities.map((p) => [p, laneName(p)])], (value) => set("priority", value)), choose("Queued", recent(filters), [
		["", "any time"],
		...firstRanges,
		...recent(filters) === "other" ? [["other", "other times"]] : []
	], (id) => {
		if (id === "other") return;
		const { from: _, until: __, ...next } = filters;
		if (!id) return change(next);
		const { from, to } = firstRange(id, serverNow(), utc.value);
		change({
			...next,
			from: new Date(from).toISOString(),
			...id === "yesterday" ? { until: new Date(to).toISOString() } : {}
		});
	}), h(textFilter, {
		label: "From",
		type: "datetime-local",
		step: 1,
		value: toField(filters.from ?? ""),
		onchange: (value) => set("from", fromField(value))
	}), h(textFilter, {
		label: "Until",
		type: "datetime-local",
		step: 1,
		value: toField(filters.until ?? ""),
		onchange: (value) => set("until", fromField(value))
	}), parts.length > 0 ? h("p", { class: "searched" }, "Filtered by ", h("strong", null, parts.join(", "))) : null, filters.labels?.length === 1 ? h("a", { href: link([
		"campaigns",
		filters.labels[0].name,
		filters.labels[0].value
	]) }, "As a campaign") : null, Object.keys(filters).length > 0 ? h("a", {
		class: "clear",
		href: "#/messages"
	}, "Clear all") : null);
}
/** Returns the proposed time range that the filters have, "other" for another one, or an empty text. */
function recent({ from, until }) {
	if (!from && !until) return "";
	return firstRanges.find(([id]) => {
		const range = firstRange(id, serverNow(), utc.value);
		return Date.parse(from ?? "") === range.from && (id === "yesterday" ? Date.parse(until ?? "") === range.to : !until);
	})?.[0] ?? "other";
}
function withPage(query, listed) {
	if (listed && [...query.keys()].every((name) => name === "sender" || name === "status")) query.set("page", "1");
	return query;
}
var columns$4 = [
	{ name: "ID" },
	{ name: "To" },
	{
		name: "Sender",
		class: "extra"
	},
	{
		name: "Type",
		class: "extra"
	},
	{
		name: "Lane",
		class: "extra"
	},
	{ name: "Status" },
	{
		name: "Why",
		class: "extra"
	},
	{
		name: "Att.",
		title: "Attempts",
		class: "number extra"
	},
	{
		name: "Age",
		class: "number"
	}
];
var messageTable = (rows, props) => table$1({
	...props,
	class: "messages",
	id: "messages"
}, "Messages, newest first", columns$4, rows.map((message) => h(Row, {
	key: message.id,
	message
})));
var Row = memo(({ message }) => h("tr", null, h("td", null, messageLink(message.id)), h("td", { class: "mono" }, message.to ?? message.toUserId ?? "erased"), h("td", { class: "extra name" }, message.sender.id), h("td", { class: "extra" }, words(message.type)), h("td", { class: "extra" }, laneName(message.priority)), cell("Status", null, statusChip(message.status)), h("td", { class: "extra quiet" }, message.overdueSince ? chip("overdue", "warn") : message.failure ? `${words(message.failure.category)}${message.failure.code === null ? "" : ` ${message.failure.code}`}` : ""), h("td", { class: "number extra" }, message.attempts), h("td", { class: "number" }, ago(message.queuedAt))));
/** Returns the newest rows, oldest first, after messages were added or updated. */
function newest(rows, ...messages) {
	const all = [...rows, ...messages.map((message) => [message.id, message])];
	return new Map([...new Map(all)].slice(-40));
}
/** The newest messages, updated live. */
var Feed = class {
	shown = reactive({
		rows: /* @__PURE__ */ new Map(),
		note: "Loading…",
		holding: false,
		passedBy: -Infinity,
		waiting: /* @__PURE__ */ new Map(),
		pointed: false
	});
	round = 0;
	unfollow = () => {};
	timer;
	second = {
		at: 0,
		seen: 0,
		plain: 0,
		troubled: 0
	};
	filters;
	constructor(filters) {
		this.filters = filters;
		document.addEventListener("visibilitychange", this.turn);
		this.start();
	}
	stop() {
		this.halt();
		document.removeEventListener("visibilitychange", this.turn);
	}
	/** Ends the subscription or the polling, and a start in progress. */
	halt() {
		this.round++;
		clearTimeout(this.timer);
		this.unfollow();
		this.unfollow = () => {};
	}
	turn = () => {
		if (document.hidden) this.halt();
		else if (!this.shown.holding) this.start();
	};
	/** Loads the position of the lists, then the newest messages, and follows the event log from that position, so that no change is missed. */
	async start(asking = 0) {
		this.halt();
		const mine = this.round;
		try {
			const { readModel: { position } } = await ask(Position, {});
			const { messages: { edges } } = await ask(Messages, {
				filter: messageFilter(this.filters),
				first: rowLimit
			});
			if (mine !== this.round) return;
			this.load(new Map(edges.toReversed().map(({ node }) => [node.id, node])));
			this.shown.note = "";
			if (asking > 0) {
				this.timer = setTimeout(() => void this.start(asking - 1), busyEvery);
				return;
			}
			this.unfollow = connection.subscribe(MessageUpdates, {
				senderId: this.filters.sender ?? null,
				after: position
			}, {
				cursor: (data) => data.messageUpdates.cursor,
				gone: () => void this.start(),
				next: ({ messageUpdates: { at, message } }) => {
					sawServerTime(at);
					this.take(message);
				}
			});
		} catch (error) {
			if (mine !== this.round) return;
			report(error);
			this.shown.note = "Could not load the messages. Retrying.";
			this.timer = setTimeout(() => void this.start(), 2e3);
		}
	}
	/** Shows the newest messages. While the pointer is over rows, these only change, and the others wait. */
	load(loaded) {
		const { rows, pointed } = this.shown;
		const kept = pointed && rows.size > 0;
		this.shown.rows = kept ? new Map([...rows].map(([id, row]) => [id, loaded.get(id) ?? row])) : loaded;
		this.shown.waiting = kept ? new Map([...loaded].filter(([id]) => !rows.has(id))) : /* @__PURE__ */ new Map();
	}
	take(message) {
		const now = Math.floor(Date.now() / 1e3);
		if (this.second.at !== now) this.second = {
			at: now,
			seen: 0,
			plain: 0,
			troubled: 0
		};
		if (++this.second.seen > busy) {
			this.start(busyRounds);
			return;
		}
		const { status } = this.filters;
		const fits = !status || status.includes(message.status);
		const { rows, waiting } = this.shown;
		if (rows.has(message.id)) this.shown.rows = newest(rows, message);
		else if (waiting.has(message.id) || fits && this.sampled(message)) {
			if (this.shown.pointed) this.shown.waiting = newest(waiting, message);
			else this.shown.rows = newest(rows, message);
		} else if (fits && message.status === "QUEUED") this.shown.passedBy = Date.now();
	}
	sampled(message) {
		if (this.filters.status) return this.second.plain++ < 6;
		return troubled.includes(message.status) ? this.second.troubled++ < troubledPerSecond : this.second.plain++ < rowsPerSecond;
	}
	point(over) {
		this.shown.pointed = over;
		if (over || this.shown.waiting.size === 0) return;
		this.shown.rows = newest(this.shown.rows, ...this.shown.waiting.values());
		this.shown.waiting = /* @__PURE__ */ new Map();
	}
	hold() {
		this.shown.holding = !this.shown.holding;
		if (this.shown.holding) this.halt();
		else this.start();
	}
	render() {
		const rows = [...this.shown.rows.values()].reverse(), waiting = this.shown.waiting.size;
		tick.value;
		const sample = Date.now() - this.shown.passedBy < 5e3;
		return card(["Messages ", this.shown.holding ? chip("paused", "warn") : chip("live", "good")], {
			id: "live-messages",
			class: "wide"
		}, [button(this.shown.holding ? "Resume" : "Pause", () => this.hold(), {
			id: "hold",
			"aria-pressed": String(this.shown.holding)
		}), h("a", {
			class: "plain button",
			href: link(["messages"], withPage(toQuery(this.filters), true))
		}, "List all")], messageTable(rows, {
			"data-pointed": String(this.shown.pointed),
			onpointerenter: () => this.point(true),
			onpointerleave: () => this.point(false)
		}), quiet(this.shown.note || (this.shown.holding ? "Paused." : waiting > 0 ? `${plural(waiting, "new message")}: shown when the pointer leaves the list.` : rows.length === 0 ? this.filters.status ? "No messages with this status." : "No messages yet." : sample ? "A sample of a few new messages per second, so that you can follow them. The overview counts all messages." : "\xA0")));
	}
};
var exportLimit = 1e4;
var exportPage = 200;
/** Downloads the messages that match the filters as CSV, at most 10,000. */
async function exportRows(filters) {
	const rows = [[
		"id",
		"to",
		"sender",
		"type",
		"lane",
		"status",
		"category",
		"code",
		"attempts",
		"queued",
		"sent"
	]];
	for (let after = null;;) {
		const { messages: { edges, pageInfo } } = await ask(Messages, {
			filter: messageFilter(filters),
			first: exportPage,
			after
		});
		rows.push(...edges.map(({ node: m }) => [
			m.id,
			m.to ?? m.toUserId,
			m.sender.id,
			m.type,
			m.priority,
			m.status,
			m.failure?.category ?? null,
			m.failure?.code ?? null,
			m.attempts,
			m.queuedAt,
			m.sentAt
		]));
		if (!pageInfo.hasNextPage) break;
		if (rows.length > exportLimit) {
			note(`Only the newest ${count(exportLimit)} messages are exported. Narrow the filter for the rest.`, true);
			break;
		}
		after = pageInfo.endCursor;
	}
	save("messages.csv", new Blob([csv(rows)], { type: "text/csv" }));
}
/** The progress of the messages as a bar: of a campaign, for example, if the filter is its label. */
function progress(counts, total) {
	const left = sumOf(counts, open);
	return h("div", { class: "progress" }, h("div", {
		class: "progress-bar",
		"aria-hidden": "true"
	}, counts.map(({ status, count: n }) => h("span", {
		key: status,
		"data-tone": toneOf(status),
		style: { width: `${n / total * 100}%` },
		title: `${words(status)}: ${count(n)}`
	}))), quiet(`${percent((total - left) / total)} done`, left > 0 ? `, ${count(left)} to go` : ""));
}
/** The results of a search, page by page. The current page is polled, so that it shows the progress of its messages. */
var Pages = class {
	shown = reactive({
		rows: null,
		counts: null,
		next: null,
		fault: ""
	});
	filters;
	page;
	ends = [];
	abort = new AbortController();
	constructor(filters, page) {
		[this.filters, this.page] = [filters, page];
		this.reload();
	}
	reload() {
		if (this.abort.signal.aborted) return;
		for (const end of this.ends) end();
		this.ends = [poll(listEvery, () => this.load()), poll(countEvery, () => this.count())];
	}
	stop() {
		for (const end of this.ends) end();
		this.abort.abort();
	}
	async count() {
		this.shown.counts = (await ask(MessageCounts, { filter: messageFilter(this.filters) }, this.abort.signal)).messageCounts;
	}
	async load() {
		try {
			const { messages: { edges, pageInfo } } = await ask(Messages, {
				filter: messageFilter(this.filters),
				first: pageSize$6,
				after: this.page.after
			}, this.abort.signal);
			Object.assign(this.shown, {
				rows: edges.map(({ node }) => node),
				next: pageInfo.hasNextPage ? pageInfo.endCursor : null,
				fault: ""
			});
		} catch (error) {
			if (this.abort.signal.aborted) return;
			if (error instanceof ServerAway) report(error);
			else this.shown.fault = messageOf(error);
		}
	}
	render() {
		const { rows, counts, next, fault } = this.shown;
		const total = counts?.reduce((sum, { count: n }) => sum + n, 0);
		const summary = counts === null ? "…" : counts.map(({ status, count: n }) => h("a", {
			key: status,
			class: "count-link",
			href: link(["messages"], withPage(toQuery({
				...this.filters,
				status: [status]
			}), true))
		}, statusChip(status), ` ${count(n)}`));
		const waiting = counts?.some(({ status }) => status === "QUEUED" || status === "RETRYING") && !forbidden(CancelMany);
		return card(["Messages ", total === void 0 ? null : h("span", {
			class: "quiet",
			id: "found"
		}, plural(total, "message"))], {
			id: "found-messages",
			class: "wide"
		}, [
			waiting ? button("Cancel waiting messages…", () => cancelMessages(messageFilter(this.filters), describe$1(this.filters).join(", "), () => this.reload()), { id: "cancel-many" }) : null,
			button("Export CSV", () => void attempt("Exported.", () => exportRows(this.filters)), { disabled: !rows?.length }),
			h("a", {
				class: "plain button",
				href: link(["messages"])
			}, "Live")
		], counts && total ? progress(counts, total) : null, h("div", { class: "counts" }, summary), fault ? h("p", {
			class: "error",
			role: "alert"
		}, fault) : null, rows === null ? quiet(fault ? "" : "Loading…") : rows.length === 0 ? quiet("No messages found.") : messageTable(rows), pager(this.page, next, byTime, "Updates automatically."));
	}
};
// src/views/content.ts
var part = (value) => typeof value === "object" && value !== null ? value : {};
var parts = (value) => Array.isArray(value) ? value.map(part) : [];
var text = (value) => typeof value === "string" || typeof value === "number" ? String(value) : "";
/** A paragraph of the sender's text, in the direction of its first letter. */
var paragraph = (value, name) => {
	const shown = text(value);
	return shown ? h("p", {
		dir: "auto",
		class: name ?? "said"
	}, shown) : null;
};
var buttons = (labels) => labels.length > 0 ? h("ul", {
	class: "bubble-buttons",
	"aria-label": "Buttons"
}, labels.map((label, i) => h("li", {
	key: i,
	dir: "auto"
}, label))) : null;
var file = (content, kind) => [h("p", { class: "attachment" }, `${kind}: `, text(content.filename) || text(content.link) || `media ${text(content.id)}`), paragraph(content.caption)];
function interactive(content) {
	const reply = part(content.button_reply ?? content.list_reply ?? content.nfm_reply);
	if (reply.title ?? reply.body) return [paragraph(reply.title ?? reply.body), paragraph(reply.description, "said quiet")];
	const header = part(content.header), action = part(content.action);
	const replies = parts(action.buttons).map((button) => text(part(button.reply).title));
	const rows = parts(action.sections).flatMap((section) => parts(section.rows).map((row) => text(row.title)));
	const single = text(action.button) || text(part(action.parameters).display_text);
	return [
		header.type === "text" ? paragraph(header.text, "said strong") : header.type ? h("p", { class: "attachment" }, words(text(header.type))) : null,
		paragraph(part(content.body).text),
		paragraph(part(content.footer).text, "said quiet"),
		buttons([...replies, ...single ? [single] : []].filter(Boolean)),
		rows.length > 0 ? h("details", null, h("summary", null, "Choices"), h("ul", null, rows.map((row, i) => h("li", {
			key: i,
			dir: "auto"
		}, row)))) : null
	];
}
function template$1(content) {
	const language = text(part(content.language).code) || text(content.language);
	return [h("p", { class: "attachment" }, `Template ${text(content.name)}, ${language}`), parts(content.components).map((component, i) => {
		const values = parts(component.parameters).map((parameter) => text(parameter.text) || text(parameter.payload) || words(text(parameter.type)));
		return values.length === 0 ? null : h("div", { key: i }, h("p", { class: "quiet" }, words(text(component.type))), h("ol", { class: "variables" }, values.map((value, at) => h("li", {
			key: at,
			dir: "auto"
		}, value))));
	})];
}
/** The parts of a template, as WhatsApp lists them, with their variables in braces. */
function listed(components) {
	return parts(components).map((component, i) => {
		const key = { key: i };
		switch (text(component.type).toUpperCase()) {
			case "HEADER": {
				const format = text(component.format) || "TEXT";
				return h("div", key, format === "TEXT" ? paragraph(component.text, "said strong") : h("p", { class: "attachment" }, words(format)));
			}
			case "BODY": return h("div", key, paragraph(component.text ?? (component.add_security_recommendation === void 0 ? "" : "{{1}} is your verification code.")));
			case "FOOTER": return h("div", key, paragraph(component.text, "said quiet"));
			case "BUTTONS": return h("div", key, buttons(parts(component.buttons).map((button) => text(button.text) || words(text(button.type)))));
			case "CAROUSEL": return h("details", key, h("summary", null, plural(parts(component.cards).length, "card")), parts(component.cards).map((card, at) => h("div", {
				key: at,
				class: "bubble"
			}, listed(card.components))));
			default: return h("p", {
				key: i,
				class: "attachment"
			}, words(text(component.type)));
		}
	});
}
/** Draws a template. */
var templateBubble = (components) => h("div", { class: "bubble" }, listed(components));
/** Returns the names of the variables in a template's body, in order: 1, 2, or names. */
function bodyVariables(components) {
	const body = parts(components).find(({ type }) => text(type).toUpperCase() === "BODY");
	const words = text(body?.text) || (body?.add_security_recommendation === void 0 ? "" : "{{1}}");
	return [...new Set([...words.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, name]) => name))];
}
function drawn(type, content) {
	switch (type) {
		case "TEXT": return paragraph(content.body);
		case "TEMPLATE": return template$1(content);
		case "INTERACTIVE": return interactive(content);
		case "BUTTON": return paragraph(content.text);
		case "SYSTEM": return paragraph(content.body);
		case "ORDER": return [h("p", { class: "attachment" }, `Order of ${plural(parts(content.product_items).length, "product")}`), paragraph(content.text)];
		case "IMAGE":
		case "VIDEO":
		case "AUDIO":
		case "DOCUMENT":
		case "STICKER": return file(content, words(type));
		case "REACTION": return h("p", { class: "reaction" }, text(content.emoji) || "reaction removed");
		case "LOCATION": return [
			paragraph(content.name, "said strong"),
			paragraph(content.address),
			paragraph(`${text(content.latitude)}, ${text(content.longitude)}`)
		];
		default: return h("p", { class: "attachment" }, `A message of the type ${words(type)}`);
	}
}
/** Draws the content of a message. content is the Cloud API's object of the type, in capitals. */
var bubble = (type, content) => h("div", { class: "bubble" }, type === "CONTACTS" ? h("ul", null, parts(content).map((contact, i) => h("li", {
	key: i,
	dir: "auto"
}, text(part(contact.name).formatted_name)))) : drawn(type, part(content)));
// src/views/lifeline.ts
var drawnCalls = 12;
var rowHeight = 34;
var barHeight = 8;
var axisHeight = 30;
/** The outcome of a call, in words. */
var outcomes$1 = {
	UNDER_WAY: ["in flight", "move"],
	ACCEPTED: ["accepted", "good"],
	FAILED: ["failed", "bad"],
	DEFERRED: ["deferred", "warn"],
	UNKNOWN: ["response lost", "warn"]
};
/** The phases so far, in order. WhatsApp's times are whole seconds and can be before the call, so none ends before it begins. */
function phasesOf(m) {
	const at = Date.parse, phases = [], calls = m.attemptLog.slice(-12);
	const add = (name, from, to, tone) => {
		phases.push({
			name,
			from,
			to: Math.max(from, to ?? drawnAt$1()),
			tone,
			open: to === null
		});
	};
	const first = m.attemptLog[0], last = m.history?.edges.at(-1)?.node.recordedAt;
	if (first || m.status === "QUEUED") add("In the queue", at(m.queuedAt), first ? at(first.startedAt) : null, "wait");
	else if (last) add("In the queue", at(m.queuedAt), at(last), "wait");
	for (const call of calls) {
		const [outcome, tone] = outcomes$1[call.outcome];
		add(`Call ${call.call}: ${outcome}`, at(call.startedAt), call.endedAt ? at(call.endedAt) : call.outcome === "UNDER_WAY" ? null : at(call.startedAt), tone);
	}
	if (m.sentAt && (m.deliveredAt || m.status === "SENT")) add(m.deliveredAt ? "Until delivered" : "Not delivered yet", at(m.sentAt), m.deliveredAt ? at(m.deliveredAt) : null, m.deliveredAt ? "good" : m.overdueSince ? "warn" : "move");
	if (m.readAt) add("Until read", at(m.deliveredAt ?? m.sentAt ?? m.queuedAt), at(m.readAt), "good");
	return phases;
}
var length$1 = ({ from, to, open }) => `${span((to - from) / 1e3)}${open ? " so far" : ""}`;
/** The picture, with a description in words for those who don't see it. */
function lifeline(m) {
	const phases = phasesOf(m);
	if (phases.length === 0) return null;
	const from = Date.parse(m.queuedAt), to = Math.max(...phases.map((phase) => phase.to), from + 1);
	const share = (at) => Math.min(1, Math.max(0, (at - from) / (to - from))) * 100;
	const height = phases.length * rowHeight + axisHeight, bottom = phases.length * rowHeight;
	const more = m.attemptLog.length - drawnCalls;
	return h("figure", { class: "lifeline" }, h("svg", {
		role: "img",
		"aria-label": `From queued to ${zonedClock(to, drawnAt$1())}: ${phases.map((phase) => `${phase.name}, ${length$1(phase)}`).join("; ")}.`,
		width: "100%",
		height
	}, [
		0,
		50,
		100
	].map((x) => h("line", {
		key: x,
		class: "grid",
		x1: `${x}%`,
		x2: `${x}%`,
		y1: 0,
		y2: bottom + 4
	})), phases.map((phase, i) => {
		const { name, tone } = phase, x = share(phase.from), y = i * rowHeight;
		const right = x > 55;
		return h("g", { key: `${i} ${name}` }, h("text", {
			x: `${right ? Math.max(share(phase.to), x) : x}%`,
			y: y + 14,
			"text-anchor": right ? "end" : "start"
		}, name, " ", h("tspan", { class: "length" }, length$1(phase))), h("rect", {
			class: "phase",
			"data-tone": tone,
			x: `${Math.min(x, 99.5)}%`,
			y: y + 19,
			width: `${Math.max(share(phase.to) - x, .5)}%`,
			height: barHeight,
			rx: 2
		}));
	}), [
		[0, "start"],
		[50, "middle"],
		[100, "end"]
	].map(([x, anchor]) => h("text", {
		key: x,
		class: "axis",
		x: `${x}%`,
		y: bottom + 20,
		"text-anchor": anchor
	}, x === 0 ? zonedClock(from, drawnAt$1()) : `+ ${span((to - from) * Number(x) / 1e5)}`))), more > 0 ? h("figcaption", { class: "quiet" }, `Without the first ${plural(more, "call")}.`) : null);
}
// src/views/message.ts
var every$8 = 5e3;
function message(route) {
	const id = route.params.id;
	const view = reactive({
		shown: void 0,
		fault: ""
	});
	let unfollow = () => {}, stopped = false, followed = false, round = 0;
	let again;
	async function load() {
		clearTimeout(again);
		again = void 0;
		const mine = ++round;
		try {
			const { message: found } = await ask(OneMessage, {
				id,
				audit: may("AUDIT")
			});
			if (stopped || mine !== round) return;
			[view.shown, view.fault] = [found, ""];
			if (found && !followed) follow(found.cursor);
		} catch (error) {
			if (stopped || mine !== round) return;
			view.fault = messageOf(error);
			if (!error.code) report(error);
			if (!rejected(error)) again = setTimeout(load, 2e3);
		}
	}
	/** Reloads the message when it changes. Changes in quick succession cause one reload. */
	function follow(after) {
		followed = true;
		unfollow = connection.subscribe(OneMessageUpdates, {
			id,
			after
		}, {
			cursor: (data) => data.messageUpdates.cursor,
			gone: () => {
				followed = false;
				load();
			},
			next: ({ messageUpdates: { at } }) => {
				sawServerTime(at);
				again ??= setTimeout(load, 150);
			}
		});
	}
	const unpoll = poll(every$8, async () => {
		if (!view.shown || open.includes(view.shown.status)) await load();
	});
	return {
		title: "Message",
		stop: () => {
			stopped = true;
			clearTimeout(again);
			unpoll();
			unfollow();
		},
		render: () => {
			if (!view.shown) return h("section", { class: "card narrow" }, h("h2", null, "Message"), h("p", { class: "mono" }, id), h("p", {
				role: "status",
				class: view.fault ? "error" : ""
			}, view.fault || (view.shown === null ? "There is no message with this ID." : "Loading…")), view.shown === null ? quiet("It may be an idempotency key: ", h("a", { href: `#/messages?key=${encodeURIComponent(id)}` }, "search for it"), ".") : null);
			return page(view.shown, () => void load());
		}
	};
}
/** Whether the message waits for a call. */
var waits = ({ status }) => status === "QUEUED" || status === "RETRYING";
function page(m, changed) {
	return h("div", {
		class: "board",
		id: "message"
	}, h("div", { class: "page-head wide" }, h("h2", null, "Message ", copied(m.id, "the message ID")), statusChip(m.status), h("div", { class: "tools" }, actions$2(m, changed))), waits(m) ? m.pauses.map((pause) => h("div", {
		class: "wide",
		key: pause.id
	}, pausedBy(pause, `Like all messages with the label ${pause.label.name} = ${pause.label.value}, this message waits until the campaign is resumed.`))) : null, m.failure && ![
		"SENT",
		"DELIVERED",
		"READ"
	].includes(m.status) ? failureCard(m) : null, card("Facts", { id: "facts" }, null, facts([
		["To", recipient(m)],
		["Conversation", conversationLink(m)],
		["Sender", h("a", { href: `#/senders/${encodeURIComponent(m.sender.id)}` }, m.sender.name)],
		["Type", `${words(m.type)}, ${laneName(m.priority)} lane`],
		["Attempts", `${count(m.attempts)}, in ${plural(m.calls, "call")}`],
		["Reason", m.statusReason],
		["Sent twice", m.sentTwice ? chip("yes, after a lost response", "warn") : null],
		["Held by WhatsApp", m.heldForQuality ? chip("yes, while it assesses the template's quality", "warn") : null],
		["Queued", time(m.queuedAt)],
		["Send at", m.sendAt && time(m.sendAt)],
		["Expires", m.expiresAt && time(m.expiresAt)],
		["Next attempt", m.retryAt && [time(m.retryAt), ` (in ${span(Math.max(0, Math.ceil((Date.parse(m.retryAt) - drawnAt$1()) / 1e3)))})`]],
		["Sent", m.sentAt && time(m.sentAt)],
		["Overdue since", m.overdueSince && [
			chip("overdue", "warn"),
			" ",
			time(m.overdueSince)
		]],
		["Delivered", m.deliveredAt && time(m.deliveredAt, "seconds")],
		["Read", m.readAt && time(m.readAt, "seconds")],
		["If a response is lost", m.onAmbiguous === "RESEND" ? "send again" : "make it a dead letter"],
		["Idempotency key", m.idempotencyKey && copied(m.idempotencyKey, "the idempotency key")],
		["WhatsApp ID", m.whatsappId && copied(m.whatsappId, "the WhatsApp ID")],
		["Reply to", m.replyTo && mono(m.replyTo)],
		["Labels", m.labels.length > 0 ? m.labels.map(({ name, value }) => !may("PERSONAL") ? h("span", {
			key: name,
			class: "label"
		}, `${name} = ${value}`) : h("a", {
			key: name,
			class: "label",
			href: `#/messages?label=${encodeURIComponent(`${name}=${value}`)}`
		}, `${name} = ${value}`)) : null],
		["Erased", m.erasedAt && time(m.erasedAt)]
	])), card("Content", { id: "content" }, null, m.content !== null ? [bubble(m.type, m.content), h("details", null, h("summary", null, "As JSON"), h("pre", {
		tabindex: 0,
		"aria-label": "Content as JSON"
	}, JSON.stringify(m.content, null, 2)))] : quiet(m.erasedAt ? "Erased." : may("PERSONAL") ? "None." : "The content requires a key with the scope PERSONAL.")), card("Timeline", {
		id: "timeline",
		class: "wide"
	}, m.history ? m.history.pageInfo.hasNextPage ? null : button("Save as JSON", () => saveHistory(m), { class: "plain small" }) : quiet("Calls only. The recorded events require a key with the scope AUDIT."), lifeline(m), timeline(m)), card("Attempts", {
		id: "attempts",
		class: "wide"
	}, null, attempts(m)));
}
/** Saves the events of the message, for a report or another tool. */
function saveHistory({ id, history }) {
	save(`message-${id}.json`, new Blob([JSON.stringify(history.edges.map(({ node }) => node), null, 2)], { type: "application/json" }));
}
/** The recipient, as a link to their messages. A masked one is no link, because a search would find nothing. */
function recipient(m) {
	const shown = m.to ?? m.toUserId;
	if (shown === null) return "erased";
	return may("PERSONAL") ? h("a", {
		class: "mono",
		href: `#/messages?${m.to === null ? "user" : "to"}=${encodeURIComponent(shown)}`
	}, shown) : mono(shown);
}
function conversationLink(m) {
	const person = m.to ?? m.toUserId;
	return person !== null && may("PERSONAL") && h("a", { href: link([
		"conversations",
		m.sender.id,
		person
	]) }, "All messages in both directions");
}
function actions$2(m, changed) {
	const shown = [], reasons = /* @__PURE__ */ new Set();
	const offer = (operation, made) => {
		const reason = forbidden(operation, "Changing the message");
		if (reason) reasons.add(reason);
		else shown.push(made);
	};
	if (waits(m)) offer(Cancel, button("Cancel…", () => cancelMessage(m.id, changed), { id: "cancel" }));
	if (m.status === "DEAD_LETTERED") {
		offer(Requeue, button("Requeue…", () => requeueDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "requeue" }));
		offer(Discard, button("Discard…", () => discardDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "discard" }));
	}
	if (!forbidden(Queue) && m.content !== null) shown.push(h("a", {
		key: "again",
		class: "plain button",
		href: `#/queue?copy=${m.id}`
	}, "Send again…"));
	return [...shown, [...reasons].map((reason) => quiet(reason))];
}
function failureCard(m) {
	const f = m.failure;
	return card(["Failure ", chip(words(f.class), "bad")], {
		id: "failure",
		class: "wide"
	}, null, h("p", null, h("strong", null, f.message)), h("p", { class: "advice" }, f.advice), f.details ? quiet(f.details) : null, facts([
		["Category", h("a", { href: `#/messages?category=${encodeURIComponent(f.category)}` }, words(f.category))],
		["Code", f.code === null ? null : String(f.code)],
		["HTTP status", f.httpStatus === null ? null : String(f.httpStatus)],
		["Meta's trace ID", f.fbtraceId && mono(f.fbtraceId)],
		["At", time(f.at)]
	]));
}
/** Describes a failure in one line. */
function explain(f) {
	const source = [
		f.code === null ? null : `code ${f.code}`,
		f.httpStatus === null ? null : `HTTP ${f.httpStatus}`,
		words(f.category),
		words(f.class)
	];
	return `${f.message} (${source.filter(Boolean).join(", ")})${f.details ? ` ${f.details}` : ""}`;
}
var eventTones = {
	Queued: "wait",
	SendAttempted: "move",
	Sent: "move",
	Confirmed: "move",
	Delivered: "good",
	Read: "good",
	Failed: "bad",
	DeadLettered: "bad",
	OutcomeUnknown: "warn",
	RetryScheduled: "warn",
	Deferred: "warn",
	Requeued: "move",
	Discarded: "wait",
	Cancelled: "wait",
	Expired: "warn",
	DeliveryOverdue: "warn",
	Substituted: "warn",
	Suppressed: "wait"
};
function byEvents(events) {
	return events.map((event, i) => {
		const before = events[i - 1];
		const passed = before ? Date.parse(event.recordedAt) - Date.parse(before.recordedAt) : null;
		return {
			key: event.id,
			at: event.recordedAt,
			tone: eventTones[event.type] ?? "wait",
			data: event.data,
			text: [h("strong", null, spaced(event.type)), h("span", { class: "quiet" }, ` by ${actorOf(event.by)}`, passed === null ? "" : `, ${span(passed / 1e3)} later`, event.occurredAt ? [", at WhatsApp ", time(event.occurredAt, "seconds")] : null)],
			detail: gist(event)
		};
	});
}
/** Returns the most important data of an event in one line. */
function gist({ data }) {
	if (typeof data !== "object" || data === null) return "";
	const record = data, failure = record.failure;
	const parts = [];
	if (typeof record.call === "number") parts.push(`call ${record.call}`);
	if (typeof record.attempt === "number") parts.push(`attempt ${record.attempt}`);
	if (typeof record.reason === "string") parts.push(record.reason);
	if (failure && typeof failure.message === "string") parts.push(failure.message);
	return parts.join(", ");
}
function byCalls(m) {
	const entries = [{
		key: "queued",
		at: m.queuedAt,
		tone: "wait",
		text: h("strong", null, "Queued")
	}];
	const add = (at, tone, text, detail) => {
		if (at) entries.push({
			key: `${text} ${at}`,
			at,
			tone,
			text: h("strong", null, text),
			detail
		});
	};
	for (const attempt of m.attemptLog) {
		const [outcome, tone] = outcomes$1[attempt.outcome];
		add(attempt.startedAt, tone, `Call ${attempt.call}: ${outcome}`, attempt.failure ? explain(attempt.failure) : "");
	}
	add(m.deliveredAt, "good", "Delivered");
	add(m.readAt, "good", "Read");
	if (m.status === "FAILED" || m.status === "DEAD_LETTERED") add(m.failure?.at ?? null, "bad", m.status === "FAILED" ? "Failed permanently" : "Dead letter", m.failure?.advice);
	return entries.sort((a, b) => Math.floor(Date.parse(a.at) / 1e3) - Math.floor(Date.parse(b.at) / 1e3));
}
function timeline(m) {
	const entries = m.history ? byEvents(m.history.edges.map(({ node }) => node)) : byCalls(m);
	if (m.status === "RETRYING" && m.retryAt) entries.push({
		key: "next",
		at: m.retryAt,
		tone: "warn",
		text: "Next attempt"
	});
	if (m.status === "QUEUED" && m.sendAt) entries.push({
		key: "next",
		at: m.sendAt,
		tone: "wait",
		text: "Scheduled to be sent"
	});
	return [h("ol", {
		class: "timeline",
		"aria-label": "Timeline"
	}, entries.map(({ key, at, tone, text, detail, data }) => h("li", {
		key,
		"data-tone": tone
	}, time(at), h("div", null, h("p", null, text, detail ? h("span", { class: "quiet" }, detail) : null), data !== void 0 && data !== null ? h("details", null, h("summary", { class: "quiet" }, "Recorded data"), h("pre", { tabindex: 0 }, JSON.stringify(data, null, 2))) : null)))), m.history?.pageInfo.hasNextPage ? quiet("These are the first 200 events. ", h("a", { href: link(["ledger"], new URLSearchParams({
		message: m.id,
		...state.viewer?.senderIds ? { sender: m.sender.id } : {}
	})) }, "Show all in the event log"), ".") : null];
}
var attemptColumns = [
	{
		name: "Call",
		class: "number"
	},
	{ name: "Began" },
	{
		name: "Took",
		class: "number"
	},
	{ name: "Outcome" },
	{ name: "Failure" },
	{
		name: "Settled by",
		class: "extra"
	}
];
function attempts(m) {
	if (m.attemptLog.length === 0) return quiet("No calls yet.");
	return table$1({ class: "stack attempts" }, "Calls to WhatsApp", attemptColumns, m.attemptLog.map((attempt) => {
		const [outcome, tone] = outcomes$1[attempt.outcome];
		return h("tr", { key: attempt.call }, cell("Call", { class: "number" }, attempt.call), cell("Began", null, time(attempt.startedAt)), cell("Took", { class: "number" }, attempt.endedAt ? span((Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt)) / 1e3) : "–"), cell("Outcome", null, chip(outcome, tone)), h("td", { class: "wrap" }, attempt.failure ? explain(attempt.failure) : ""), h("td", { class: "extra" }, attempt.settledBy ? words(attempt.settledBy) : ""));
	}));
}
// src/views/conversations.ts
var pageSize$5 = 50;
var every$7 = 4e3;
var endsSoon = 3600;
var read$5 = (query) => ({
	sender: query.get("sender") ?? "",
	window: query.get("window") ?? "",
	marketing: query.get("marketing") ?? "",
	page: pageOf(query),
	invalid: unlisted(query, "window", ["open", "closed"]) || unlisted(query, "marketing", ["out", "in"]) || unknown(query, "sender", "window", "marketing", "page", "after")
});
/** Returns the value of a filter with two values, or null for both. */
var either = (value, yes, no) => value === yes ? true : value === no ? false : null;
function conversations(route) {
	const view = reactive({
		asked: read$5(route.query),
		list: null,
		fault: ""
	});
	async function load() {
		const { asked } = view, { sender, window, marketing, page, invalid } = asked;
		if (invalid) return void (view.fault = invalid);
		try {
			const answer = await ask(Conversations, {
				filter: {
					senderId: sender || null,
					windowOpen: either(window, "open", "closed"),
					optedOut: either(marketing, "out", "in")
				},
				first: pageSize$5,
				after: page.after
			});
			if (asked === view.asked) Object.assign(view, {
				list: answer.conversations,
				fault: ""
			});
		} catch (error) {
			if (asked === view.asked) view.fault = messageOf(error);
			throw error;
		}
	}
	let stop = poll(every$7, load);
	return {
		title: "Conversations",
		stop: () => stop(),
		moved: (query) => {
			stop();
			Object.assign(view, {
				asked: read$5(query),
				list: null,
				fault: ""
			});
			stop = poll(every$7, load);
		},
		render: () => {
			const { asked, list, fault } = view, reason = forbidden(OneConversation, "Reading names, numbers, and messages");
			const next = list?.pageInfo.hasNextPage ? list.pageInfo.endCursor : null;
			return h("div", { class: "board" }, h("div", {
				class: "filters wide",
				role: "group",
				"aria-label": "Filters"
			}, choose("Sender", asked.sender, senderChoices("all"), (value) => setFilter({ sender: value })), choose("24-hour window", asked.window, [
				["", "any"],
				["open", "open"],
				["closed", "closed"]
			], (value) => setFilter({ window: value })), choose("Marketing", asked.marketing, [
				["", "any"],
				["out", "opted out"],
				["in", "not opted out"]
			], (value) => setFilter({ marketing: value })), asked.sender || asked.window || asked.marketing || asked.invalid ? h("a", {
				class: "clear",
				href: "#/conversations"
			}, "Clear all") : null), card("Conversations", {
				id: "conversations",
				class: "wide"
			}, null, reason ? quiet(reason) : null, fault ? h("p", {
				class: "error",
				role: "alert"
			}, fault) : null, list === null ? quiet(fault ? "" : "Loading…") : list.edges.length === 0 ? quiet(next ? "None on this page. Older ones may match." : "No person matches these filters.") : rows$1(list, !reason), pager(asked.page, next, byTime, "Updates automatically.")));
		}
	};
}
var columns$3 = [
	{ name: "Person" },
	{ name: "Sender" },
	{
		name: "Wrote",
		title: "Since the person wrote last",
		class: "number"
	},
	{ name: "24-hour window" },
	{ name: "Marketing" }
];
var rows$1 = ({ edges }, linked) => table$1({ class: "stack" }, "Conversations, most recently changed first", columns$3, edges.map(({ cursor, node }) => h("tr", { key: cursor }, cell("Person", { class: "wrap" }, person(node, linked)), cell("Sender", { class: "name" }, senderName(node.senderId)), cell("Wrote", { class: "number" }, node.lastInboundAt ? ago(node.lastInboundAt) : "–"), cell("24-hour window", null, h(Countdown, { until: node.windowOpenUntil })), cell("Marketing", null, node.optedOut ? chip("opted out", "warn") : "–"))));
/** The person, as a link to the conversation unless the number is masked. */
function person({ senderId, to, toUserId, name }, linked) {
	const shown = to ?? toUserId;
	if (shown === null) return h("span", null, "erased");
	if (!linked) return mono(shown);
	return h("a", { href: link([
		"conversations",
		senderId,
		shown
	]) }, name ? `${name} ` : "", mono(shown));
}
/** Reports whether a free-form message can be sent now. */
var windowOpen = (until) => until !== null && Date.parse(until) > drawnAt$1();
/** How much of the 24-hour window is left. */
function Countdown({ until }) {
	if (!windowOpen(until)) return chip("closed", "wait");
	const left = Math.ceil((Date.parse(until) - drawnAt$1()) / 1e3);
	return chip(`open for ${span(left)}`, left < endsSoon ? "warn" : "good");
}
// src/views/queueing.ts
/** The maximum number of times that an input is queued while Waypost is overloaded. */
var maxTries = 5;
/** The maximum length of a text in characters, by WhatsApp. A browser that enforced it would cut a longer text silently. */
var maxText = 4096;
/** The keys of inputs with an unknown outcome, so that queueing one again sends nothing twice. */
var pending = /* @__PURE__ */ new Map();
var maxPending = 100;
/** An invalid field of a form. */
var WrongField = class extends Error {
	field;
	constructor(name, text) {
		super(text);
		this.field = name;
	}
};
/**
* Queues an input. While Waypost is overloaded, it waits for the time that Waypost asks for and tries again, until stopped
* returns true. waiting is called with the text to show until then.
*/
async function queueOnce(input, waiting, stopped) {
	const content = JSON.stringify(input);
	const idempotencyKey = input.idempotencyKey ?? pending.get(content) ?? freshKey();
	pending.set(content, idempotencyKey);
	if (pending.size > maxPending) pending.delete(pending.keys().next().value);
	for (let tries = 1;; tries++) try {
		const { queueMessage } = await ask(Queue, { input: {
			...input,
			idempotencyKey
		} });
		pending.delete(content);
		return queueMessage;
	} catch (error) {
		const wait = error instanceof Refused ? error.retryAfter : null;
		if (!wait || tries === maxTries || stopped()) throw error;
		waiting(`Waypost is overloaded. Trying again in ${wait} s.`);
		await new Promise((resolve) => setTimeout(resolve, wait * 1e3));
		if (stopped()) throw error;
	}
}
/** Returns the content of a text from the form's field body. */
function textContent(body) {
	const length = [...body].length;
	if (length > maxText) throw new WrongField("body", `The text has ${count(length)} characters; WhatsApp accepts ${count(maxText)}.`);
	return { text: { body } };
}
// src/views/conversation.ts
var pageSize$4 = 50;
var every$6 = 5e3;
var soon$1 = 200;
var ended = [
	"READ",
	"FAILED",
	"DEAD_LETTERED",
	"CANCELLED",
	"EXPIRED",
	"DISCARDED",
	"SUPPRESSED"
];
function conversation(route) {
	const senderId = route.params.sender, person = route.params.person;
	const who = isUserId(person) ? { toUserId: person } : { to: person };
	const view = reactive({
		page: pageOf(route.query),
		invalid: unknown(route.query, "page", "after"),
		shown: null,
		loading: true,
		fault: ""
	});
	let stopped = false, round = 0, again;
	let ends = [], unfollow = () => {}, followed = "";
	let queued = [];
	const hasten = () => {
		again ??= setTimeout(() => void load().catch(report), soon$1);
	};
	async function load() {
		clearTimeout(again);
		again = void 0;
		const mine = ++round;
		try {
			const { readModel: { position } } = await ask(Position, {});
			const found = (await ask(OneConversation, {
				senderId,
				...who,
				first: pageSize$4,
				after: view.page.after
			})).conversation;
			if (stopped || mine !== round) return;
			Object.assign(view, {
				shown: found,
				loading: false,
				fault: ""
			});
			follow(found, position);
		} catch (error) {
			if (!stopped && mine === round) view.fault = messageOf(error);
			throw error;
		}
	}
	/** Follows the messages whose status can still change. */
	function follow({ messages: { edges } }, after) {
		const outbound = edges.flatMap(({ node }) => node.outbound ?? []);
		queued = queued.filter((id) => !outbound.some((message) => message.id === id));
		const ids = [...queued, ...outbound.filter(({ status }) => !ended.includes(status)).map(({ id }) => id)];
		if (ids.join() === followed) return;
		unfollow();
		followed = ids.join();
		unfollow = ids.length === 0 ? () => {} : connection.subscribe(SomeMessageUpdates, {
			ids,
			after
		}, {
			cursor: (data) => data.messageUpdates.cursor,
			refused: report,
			gone: () => {
				followed = "";
			},
			next: ({ messageUpdates: { at } }) => {
				sawServerTime(at);
				hasten();
			}
		});
	}
	/** Follows what people write to the sender. */
	function arrivals() {
		let stop = () => {};
		const start = () => {
			stop = connection.subscribe(InboundArrivals, { senderId }, {
				cursor: (data) => data.inboundMessages.cursor,
				refused: report,
				gone: start,
				next: hasten
			});
		};
		start();
		return () => stop();
	}
	if (!forbidden(OneConversation)) ends = [poll(every$6, load), arrivals()];
	return {
		title: "Conversation",
		stop: () => {
			stopped = true;
			clearTimeout(again);
			unfollow();
			for (const end of ends) end();
		},
		moved: (query) => {
			Object.assign(view, {
				page: pageOf(query),
				invalid: unknown(query, "page", "after"),
				loading: true,
				fault: ""
			});
			load().catch(report);
		},
		render: () => {
			const reason = forbidden(OneConversation, "Reading a conversation"), { shown, page, loading, fault } = view;
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Conversation"), quiet(reason));
			if (view.invalid) return astray("Conversation", view.invalid, link([
				"conversations",
				senderId,
				person
			]));
			if (!shown) return h("section", { class: "card narrow" }, h("h2", null, "Conversation"), h("p", {
				role: "status",
				class: fault ? "error" : ""
			}, fault || "Loading…"));
			const { messages: { edges, pageInfo } } = shown;
			return h("div", { class: "board" }, head(shown, person, (now) => {
				view.shown = {
					...view.shown,
					...now
				};
			}), fault ? h("p", {
				class: "error wide",
				role: "alert"
			}, fault) : null, card("Messages", { id: "thread-card" }, null, loading ? quiet("Loading…") : h(Thread, {
				key: page.after ?? "newest",
				items: edges.map(({ cursor, node }) => ({
					cursor,
					node
				})).reverse(),
				name: shown.name ?? person
			}), pager(page, !loading && pageInfo.hasNextPage ? pageInfo.endCursor : null, byTime)), h("div", { class: "column" }, h(Reply, {
				senderId,
				person,
				who,
				until: shown.windowOpenUntil,
				optedOut: shown.optedOut,
				queued: (id) => {
					queued = [...queued, id];
					hasten();
				}
			}), card("Facts", { id: "facts" }, null, facts([
				["Sender", h("a", { href: link(["senders", senderId]) }, senderName(senderId))],
				["Name", shown.name],
				["Number", shown.to && copied(shown.to, "the number")],
				["User ID", shown.toUserId && copied(shown.toUserId, "the user ID")],
				["Person wrote last", shown.lastInboundAt && time(shown.lastInboundAt, "seconds")],
				["Sender wrote last", shown.lastOutboundAt && time(shown.lastOutboundAt, "seconds")],
				["24-hour window", [h(Countdown, { until: shown.windowOpenUntil }), shown.windowOpenUntil ? [" until ", time(shown.windowOpenUntil, "seconds")] : null]],
				["Free of charge", shown.freeUntil && ["until ", time(shown.freeUntil, "seconds")]],
				["Opted out", shown.optedOutSince && [time(shown.optedOutSince, "seconds"), shown.optOutSource ? `, ${sources[shown.optOutSource]}` : ""]]
			]), h("p", { class: "quiet" }, h("a", { href: `#/messages?${isUserId(person) ? "user" : "to"}=${encodeURIComponent(person)}` }, "All messages to this person")))));
		}
	};
}
var sources = {
	USER_PREFERENCES: "in WhatsApp's settings",
	ERROR_131050: "reported by WhatsApp with code 131050",
	KEYWORD: "by a keyword",
	API: "recorded by an operator or a program"
};
function head(shown, person, changed) {
	const { senderId, name, optedOut, windowOpenUntil } = shown, isId = isUserId(person);
	const reason = forbidden(SetOptOut, "Recording an opt-out");
	const of = {
		senderId,
		to: isId ? null : person,
		toUserId: isId ? person : null
	};
	return h("div", { class: "page-head wide" }, h("h2", null, name ?? person), h(Countdown, { until: windowOpenUntil }), optedOut ? chip("opted out of marketing", "warn") : null, h("div", { class: "tools" }, h("a", { href: "#/conversations" }, "All conversations"), reason ? quiet(reason) : button(optedOut ? "Opt in…" : "Opt out…", () => setOptOut(of, !optedOut, changed), { id: "opt-out" })));
}
/** The messages, the newest one at the end, which stays in view while it is. */
function Thread({ items, name }) {
	const box = T(null), atEnd = T(true), last = items.at(-1)?.cursor;
	F$1(() => {
		if (atEnd.current) box.current.scrollTop = box.current.scrollHeight;
	}, [last]);
	const scrolled = () => {
		const { scrollTop, scrollHeight, clientHeight } = box.current;
		atEnd.current = scrollHeight - scrollTop - clientHeight < 40;
	};
	return h("div", {
		class: "thread",
		role: "log",
		"aria-label": "Messages, newest last",
		tabindex: 0,
		ref: box,
		onscroll: scrolled
	}, items.length === 0 ? quiet("No messages.") : h("ol", null, items.map(({ cursor, node }) => h("li", {
		key: cursor,
		class: node.inbound ? "theirs" : "ours"
	}, spoken(node, name)))));
}
function spoken({ at, outbound, inbound, echo }, name) {
	if (inbound) {
		const { id, type, content, hasMedia, erasedAt } = inbound;
		return [
			said([
				name,
				", ",
				time(at, "seconds")
			]),
			content === null ? gone$1(erasedAt) : bubble(type.toUpperCase(), content),
			hasMedia ? button("Save file", () => void attempt("Saved.", () => saveMedia(id)), { class: "plain small" }) : null
		];
	}
	if (outbound) {
		const { id, type, status, content, erasedAt } = outbound;
		return [said([
			messageLink(id),
			", ",
			time(at, "seconds"),
			" ",
			statusChip(status)
		]), content === null ? gone$1(erasedAt) : bubble(type, content)];
	}
	const { type, standby, raw } = echo;
	return [said([standby ? "Sent by another system, " : "Sent from the WhatsApp Business app, ", time(at, "seconds")]), raw === null ? gone$1("") : bubble(type.toUpperCase(), raw[type])];
}
var said = (children) => h("p", { class: "quiet" }, children);
var gone$1 = (erasedAt) => quiet(erasedAt === null ? "No content." : "Erased.");
/** Saves the file of an inbound message. The key is in a header, so a link can't. */
async function saveMedia(id) {
	const response = await fetch(`media/${id}`, { headers: authorization() });
	if (!response.ok) throw new Error(`The file is not available (status ${response.status}). WhatsApp keeps files for 7 days.`);
	save(id, await response.blob());
}
function Reply({ senderId, person, who, until, optedOut, queued }) {
	const busy = useSignal(false), fault = useSignal(""), done = useSignal(""), reason = forbidden(Queue, "Replying"), left = T(false);
	F$1(() => () => {
		left.current = true;
	}, []);
	const submit = async (event) => {
		event.preventDefault();
		if (busy.value) return;
		const form = event.currentTarget;
		[busy.value, fault.value, done.value] = [
			true,
			"",
			""
		];
		markField(form, null);
		try {
			const { message: { id } } = await queueOnce({
				senderId,
				...who,
				content: textContent(values(form).body ?? "")
			}, (text) => {
				fault.value = text;
			}, () => left.current);
			form.reset();
			[fault.value, done.value] = ["", id];
			queued(id);
		} catch (error) {
			fault.value = error instanceof ServerAway ? "No response. Press Queue reply again: the message will not be sent twice." : messageOf(error);
			markField(form, error instanceof Refused ? error.field : error instanceof WrongField ? error.field : null);
		}
		busy.value = false;
	};
	return card("Reply", { id: "reply" }, null, reason ? quiet(reason) : [
		windowOpen(until) ? null : h("div", {
			key: "closed",
			class: "callout",
			"data-tone": "warn",
			role: "note"
		}, h("p", null, h("strong", null, "The 24-hour window is closed.")), h("p", null, "WhatsApp refuses a text with the code 131047. ", h("a", { href: `#/queue?to=${encodeURIComponent(person)}&sender=${encodeURIComponent(senderId)}` }, "Queue a template"), " instead.")),
		optedOut ? h("p", {
			key: "out",
			class: "quiet"
		}, "They opted out of marketing: reply only to what they asked.") : null,
		h("form", {
			key: "form",
			onsubmit: submit
		}, field("Text", h("textarea", {
			name: "body",
			rows: 3,
			required: true,
			dir: "auto"
		})), h("p", {
			class: "error",
			role: "alert"
		}, fault.value), h("div", { class: "actions" }, h("button", {
			type: "submit",
			disabled: busy.value
		}, busy.value ? "Queueing…" : "Queue reply"), h("span", { role: "status" }, done.value ? [
			"Queued: ",
			messageLink(done.value),
			"."
		] : null)))
	]);
}
// src/views/dead_letters.ts
var pageSize$3 = 50;
var every$5 = 3e3;
var read$4 = (query) => ({
	sender: query.get("sender") ?? "",
	category: query.get("category") ?? "",
	code: query.get("code") ?? "",
	label: query.get("label") ?? "",
	from: query.get("from") ?? "",
	until: query.get("until") ?? "",
	unknown: unknown(query, "sender", "category", "code", "label", "from", "until", "page", "after")
});
/** Converts the texts of the filters to a filter, or says which of them has no meaning. */
function understand({ sender, category, code, label, from, until, unknown: stray }) {
	const [name, ...value] = label.split("=");
	const filter = {
		...sender ? { senderId: sender } : {},
		...category ? { category } : {},
		...code ? { code: Number(code) } : {},
		...from ? { deadLetteredAfter: from } : {},
		...until ? { deadLetteredBefore: until } : {},
		...label ? { label: {
			name: name.trim(),
			value: value.join("=").trim()
		} } : {}
	};
	return {
		filter,
		invalid: code && !/^\d+$/.test(code) ? `“${code}” is not an error code. Enter a number such as 131000.` : [from, until].some((time) => time && momentOf(time) === null) ? "The address has a time that is not valid." : label && (!filter.label.name || value.length === 0) ? `“${label}” is not a label. Enter name=value.` : stray
	};
}
/** Describes a filter, for the count and for what a decision is about. */
var describe = ({ senderId, category, code, label, deadLetteredAfter, deadLetteredBefore }) => [
	senderId && `sender ${senderId}`,
	category && words(category),
	code !== void 0 && `code ${code}`,
	label && `label ${label.name}=${label.value}`,
	deadLetteredAfter && `dead from ${deadLetteredAfter}`,
	deadLetteredBefore && `dead before ${deadLetteredBefore}`
].filter(Boolean).join(", ");
function deadLetters(route) {
	const view = reactive({
		asked: read$4(route.query),
		at: pageOf(route.query),
		page: null,
		fault: "",
		all: false,
		ticked: /* @__PURE__ */ new Set()
	});
	let round = 0;
	let stop = poll(every$5, load);
	function moved(query) {
		round++;
		Object.assign(view, {
			asked: read$4(query),
			at: pageOf(query),
			page: null,
			fault: "",
			all: false,
			ticked: /* @__PURE__ */ new Set()
		});
		stop();
		stop = poll(every$5, load);
	}
	async function load() {
		const mine = ++round;
		const { filter, invalid } = understand(view.asked);
		if (invalid) {
			Object.assign(view, {
				page: null,
				fault: invalid
			});
			return;
		}
		try {
			const answer = await ask(DeadLetters, {
				filter,
				first: pageSize$3,
				after: view.at.after
			});
			if (mine === round) Object.assign(view, {
				page: answer.deadLetters,
				fault: ""
			});
		} catch (error) {
			if (mine === round) view.fault = messageOf(error);
			throw error;
		}
	}
	const select = (all, ids = []) => void Object.assign(view, {
		all,
		ticked: new Set(ids)
	});
	const changed = () => {
		load().catch(() => {});
		pulse().catch(() => {});
	};
	return {
		title: "Dead letters",
		stop: () => stop(),
		moved,
		render
	};
	function render() {
		const { asked, page, fault } = view, { sender, code, label } = asked;
		const { filter, invalid } = understand(asked);
		const described = describe(filter);
		return h("div", { class: "board" }, h("div", {
			class: "filters wide",
			role: "group",
			"aria-label": "Filters"
		}, choose("Sender", sender, senderChoices("all"), (value) => setFilter({ sender: value })), h(textFilter, {
			label: "Code",
			value: code,
			placeholder: "131000",
			inputmode: "numeric",
			onchange: (value) => setFilter({ code: value })
		}), h(textFilter, {
			label: "Label",
			value: label,
			placeholder: "name=value",
			onchange: (value) => setFilter({ label: value })
		}), h(textFilter, {
			label: "From",
			type: "datetime-local",
			step: 1,
			value: toField(asked.from),
			onchange: (value) => setFilter({ from: fromField(value) })
		}), h(textFilter, {
			label: "Until",
			type: "datetime-local",
			step: 1,
			value: toField(asked.until),
			onchange: (value) => setFilter({ until: fromField(value) })
		}), described || invalid ? h("a", {
			class: "clear",
			href: "#/dead-letters"
		}, "Clear all") : null), card(["Dead letters ", page ? h("span", {
			class: "quiet",
			id: "dead-count"
		}, described ? `${count(page.totalCount)} with ${described}` : count(page.totalCount)) : null], {
			id: "dead-letters",
			class: "wide"
		}, null, categories(page, asked.category), fault ? h("p", {
			class: "error",
			role: "alert"
		}, fault) : null, invalid ? null : page === null ? quiet("Loading…") : page.edges.length === 0 ? empty(described) : [
			selection(page, filter),
			rows(page),
			pager(view.at, page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null, byTime, plural(page.edges.length, "row"))
		]));
	}
	function empty(described) {
		return h("div", { class: "nothing" }, described ? quiet(`No dead letters with ${described}.`) : [h("p", null, "No dead letters await a decision."), quiet("A message becomes a dead letter when its attempts are used up, or when a response was lost and the message must not be sent twice.")]);
	}
	function categories(page, category) {
		const found = page?.byCategory ?? [];
		if (found.length === 0 && !category) return null;
		return h("div", {
			class: "counts",
			role: "group",
			"aria-label": "By category"
		}, category ? button("All categories", () => setFilter({ category: null }), { class: "plain small" }) : null, found.map(({ category: name, count: n }) => h("button", {
			type: "button",
			key: name,
			class: "count-link",
			"aria-pressed": String(category === name),
			onclick: () => setFilter({ category: category === name ? null : name })
		}, words(name), h("strong", null, count(n)))));
	}
	function selection({ totalCount, edges }, filter) {
		const { all, ticked } = view, chosen = all ? totalCount : ticked.size, described = describe(filter);
		const decide = (action) => {
			action(view.all ? { filter } : { ids: [...view.ticked] }, view.all ? described ? `All dead letters with ${described}.` : "All dead letters." : "The selected dead letters.", changed, () => select(false));
		};
		const reason = forbidden(Requeue, "Requeueing") ?? forbidden(Discard, "Discarding");
		const shown = edges.map(({ node }) => node.message.id);
		return h("div", { class: "selection" }, reason ? quiet(reason) : [
			button("Requeue…", () => decide(requeueDeadLetters), {
				class: "",
				disabled: chosen === 0,
				id: "requeue"
			}),
			button("Discard…", () => decide(discardDeadLetters), {
				disabled: chosen === 0,
				id: "discard"
			}),
			h("span", { role: "status" }, chosen === 0 ? "None selected." : all ? `All ${count(chosen)} that match the filter are selected.` : `${count(chosen)} selected.`),
			all || totalCount <= shown.length && ticked.size === totalCount ? null : button(`Select all ${count(totalCount)}${described ? " that match the filter" : ""}`, () => select(true), {
				class: "plain small",
				id: "select-all"
			}),
			chosen > 0 ? button("Select none", () => select(false), { class: "plain small" }) : null
		]);
	}
	function rows({ edges }) {
		const ids = edges.map(({ node }) => node.message.id);
		const { all, ticked } = view, some = !all && ids.some((id) => ticked.has(id)), every = all || ids.every((id) => ticked.has(id));
		const allowed = !forbidden(Requeue);
		const tick = (id, on) => {
			const next = new Set(view.all ? ids : view.ticked);
			if (on) next.add(id);
			else next.delete(id);
			select(false, next);
		};
		return h("table", { class: "stack dead" }, h("caption", { class: "unseen" }, "Dead letters, most recently queued first"), h("thead", null, h("tr", null, allowed ? h("th", {
			scope: "col",
			class: "tick"
		}, h("input", {
			type: "checkbox",
			"aria-label": "Select this page",
			checked: every,
			indeterminate: some && !every,
			onchange: (event) => select(false, event.target.checked ? [...view.ticked, ...ids] : [...view.ticked].filter((id) => !ids.includes(id)))
		})) : null, [
			"Message",
			"To",
			"Sender",
			"Failure and advice"
		].map((name) => h("th", {
			scope: "col",
			key: name
		}, name)), h("th", {
			scope: "col",
			class: "number"
		}, "Attempts"), h("th", {
			scope: "col",
			class: "number"
		}, "Dead for"))), h("tbody", null, edges.map(({ node: { message, failure, at, attempts } }) => h("tr", { key: message.id }, allowed ? h("td", { class: "tick" }, h("input", {
			type: "checkbox",
			"aria-label": `Select ${message.id}`,
			checked: all || ticked.has(message.id),
			onchange: (event) => tick(message.id, event.target.checked)
		})) : null, cell("Message", null, messageLink(message.id)), cell("To", { class: "mono" }, message.to ?? message.toUserId ?? "erased"), cell("Sender", { class: "name" }, message.sender.id), h("td", { class: "wrap" }, h("p", null, chip(words(failure.category), "bad"), " ", failure.message, failure.code === null ? null : h("span", { class: "quiet" }, ` code ${failure.code}`)), h("p", { class: "quiet" }, failure.advice)), cell("Attempts", { class: "number" }, attempts), cell("Dead for", { class: "number" }, ago(at))))));
	}
}
// src/views/silences.ts
var lengths = [
	["1 h", "1 hour"],
	["4 h", "4 hours"],
	["1 d", "1 day"],
	["7 d", "7 days"],
	["", "until a time"]
];
/** Which alerts a silence covers, in words. */
var covers = ({ kind, sender }) => [kind ? sentence(words(kind)) : "All alerts", sender ? [" of ", h("a", { href: `#/senders/${encodeURIComponent(sender.id)}` }, sender.name)] : null];
/** Whether the key can end the silence. One of all senders concerns all of them. */
var ends = (silence) => !forbidden(EndSilence) && (silence.sender !== null || !state.viewer?.senderIds);
var endButton = (silence, ended) => button("End silence", () => void attempt("Silence ended.", async () => {
	ended((await ask(EndSilence, { id: silence.id })).endSilence);
}), { class: "plain small end-silence" });
/** The silence of an alert: its end, its reason, and who started it. */
var silencedBy = (silence) => h("p", { class: "quiet silenced" }, "Silenced until ", time(silence.until, "minutes"), ` by ${actorOf(silence.by)}: `, h("q", null, silence.reason), ".");
function silencesTable(silences, ended) {
	return table$1({ class: "stack silences" }, "Silences", [
		{ name: "Alerts" },
		{ name: "Ends" },
		{ name: "Reason" },
		{ name: "By" },
		{ name: "Change" }
	], silences.map((silence) => h("tr", { key: silence.id }, h("th", { scope: "row" }, covers(silence)), cell("Ends", null, h("span", null, time(silence.until, "minutes"), h("span", { class: "quiet" }, ` in ${span(Math.max(0, Math.ceil((Date.parse(silence.until) - drawnAt$1()) / 6e4)) * 60)}`))), cell("Reason", { class: "wrap" }, silence.reason), cell("By", { class: "wrap" }, actorOf(silence.by)), h("td", null, ends(silence) ? endButton(silence, ended) : null))));
}
/** Opens the dialog that silences alerts: those of an alert's kind and sender, or others. */
function silenceAlerts(about, kinds, started) {
	const chosen = reactive({ length: "1 h" });
	const limited = state.viewer?.senderIds;
	const until = (values) => chosen.length ? new Date(serverNow() + parseSpan(chosen.length) * 1e3).toISOString() : fromField(values.until ?? "");
	openDialog({
		title: "Silence alerts",
		label: () => "Silence",
		lost: lostEntry,
		body: () => [
			h("p", null, "The alerts are still raised and shown, but not counted in the menu, and the alert webhook is not called. Alerts that outlast the silence are reported when it ends."),
			h("div", { class: "row" }, field("Kind", h("select", { name: "kind" }, options([["", "all kinds"], ...kinds.map((kind) => [kind, sentence(words(kind))])], about.kind ?? ""))), field("Sender", h("select", { name: "senderId" }, options(senderChoices("all senders").slice(limited ? 1 : 0), about.senderId ?? "")))),
			h("div", { class: "row" }, field("For", h("select", {
				name: "length",
				value: chosen.length,
				onchange: (event) => {
					chosen.length = held(event);
				}
			}, options(lengths, chosen.length))), chosen.length ? null : field("Until", h("input", {
				name: "until",
				type: "datetime-local",
				required: true,
				defaultValue: toField(new Date(serverNow() + 36e5).toISOString()).slice(0, 16)
			}), "At most 90 days from now.")),
			field("Reason", h("input", {
				name: "reason",
				required: true,
				autocomplete: "off"
			}), "Shown to everyone who sees the alerts."),
			quiet("The silence ends automatically. You can end it early.")
		],
		run: async (values) => {
			const { silenceAlerts: silence } = await ask(SilenceAlerts, { input: {
				kind: values.kind ?? null,
				senderId: values.senderId ?? null,
				reason: values.reason,
				until: until(values)
			} });
			started(silence);
			note("Alerts silenced.");
		}
	});
}
// src/views/alerts.ts
var pageSize$2 = 25;
var currentEvery = 3e3;
/** The anchor of the runbook's section for each kind. */
var runbook = {
	ERROR_RATE: "2-dead-letters",
	QUEUE_GROWTH: "3-stopped-queue",
	QUEUE_STALLED: "3-stopped-queue",
	SENDER_HELD: "1-expired-token",
	BREAKER_OPEN: "whatsapp-doesnt-respond",
	ACCOUNT_RESTRICTED: "restricted-account",
	MESSAGING_LIMIT_REACHED: "messaging-limit",
	LOG_SHORTENED: "shorter-log",
	DELIVERY_LATENCY: "other-alerts",
	QUALITY_LOW: "other-alerts",
	WEBHOOK_SILENCE: "other-alerts",
	WEBHOOK_REJECTED: "other-alerts",
	READ_MODEL_STALE: "other-alerts",
	LEDGER_UNBALANCED: "other-alerts",
	DISK_SPACE: "other-alerts",
	OUTGOING_WEBHOOK_DISABLED: "other-alerts",
	TEMPLATE_PAUSED: "other-alerts",
	TEMPLATE_CATEGORY_CHANGED: "other-alerts"
};
var allKinds = Object.keys(units);
var unitNames = {
	share: "percent",
	seconds: "seconds",
	perMinute: "messages per minute",
	number: "number",
	none: ""
};
function written(kind, value) {
	switch (units[kind]) {
		case "share": return percent(value);
		case "seconds": return span(value);
		case "perMinute": return `${figure(value)}/min`;
		case "number": return figure(value);
		default: return "–";
	}
}
function alerts(route) {
	const view = reactive({
		resolved: null,
		rules: null,
		silences: [],
		page: pageOf(route.query),
		invalid: unknown(route.query, "page", "after"),
		next: null,
		fault: ""
	});
	async function history() {
		const { page } = view;
		try {
			const { alerts: { edges, pageInfo } } = await ask(Alerts, {
				filter: { state: ["RESOLVED"] },
				first: pageSize$2,
				after: page.after
			});
			if (page === view.page) Object.assign(view, {
				resolved: edges.map(({ node }) => node),
				next: pageInfo.hasNextPage ? pageInfo.endCursor : null,
				fault: ""
			});
			return true;
		} catch (error) {
			if (page === view.page) view.fault = messageOf(error);
			throw error;
		}
	}
	async function loadRules() {
		view.rules = (await ask(AlertRules, {})).alertRules;
	}
	/** Shows the rule that a mutation returned, because the list may be slightly behind. */
	function put(rule) {
		const at = view.rules?.findIndex(({ id }) => id === rule.id) ?? -1;
		view.rules = at < 0 ? [...view.rules ?? [], rule] : view.rules.with(at, rule);
	}
	async function loadSilences() {
		view.silences = (await ask(Silences, {})).silences;
	}
	const started = (silence) => {
		view.silences = [...view.silences, silence];
	};
	const ended = ({ id }) => {
		view.silences = view.silences.filter((other) => other.id !== id);
	};
	let stopHistory = () => {};
	/** Loads the resolved alerts, repeatedly if that fails. */
	function reload() {
		stopHistory();
		stopHistory = poll(2e3, history);
	}
	let again;
	const unheard = onAlert(() => {
		again ??= setTimeout(() => {
			again = void 0;
			reload();
		}, 500);
	});
	reload();
	const stopCurrent = poll(currentEvery, async () => {
		if (openAlerts().length === 0) return;
		const { alerts: { edges } } = await ask(Alerts, {
			filter: { state: ["RAISED", "ACKNOWLEDGED"] },
			first: 200
		});
		for (const { node } of edges) if (state.alerts.has(node.id)) putAlert(node);
	});
	const stopRules = poll(3e4, loadRules);
	const stopSilences = poll(currentEvery, loadSilences);
	return {
		title: "Alerts",
		moved: (query) => {
			Object.assign(view, {
				page: pageOf(query),
				invalid: unknown(query, "page", "after"),
				resolved: null,
				next: null,
				fault: ""
			});
			reload();
		},
		stop: () => {
			clearTimeout(again);
			unheard();
			stopHistory();
			stopRules();
			stopSilences();
			stopCurrent();
		},
		render: () => {
			if (view.invalid) return astray("Alerts", view.invalid, "#/alerts");
			const open = openAlerts(), loud = loudAlerts().length, quietly = open.filter(({ silence }) => silence).length;
			return h("div", { class: "board" }, card([
				"Open ",
				chip(count(open.length), open.length === 0 ? "good" : loud === 0 ? "warn" : "bad"),
				quietly > 0 ? [" ", chip(`${count(quietly)} silenced`, "wait")] : null
			], {
				id: "open-alerts",
				class: "wide"
			}, null, open.length === 0 ? h("div", { class: "nothing" }, h("p", null, "No open alerts.")) : open.map((alert) => alertCard(alert, started))), card("Silences", {
				id: "silences",
				class: "wide"
			}, forbidden(SilenceAlerts) ? quiet(forbidden(SilenceAlerts, "Silencing")) : button("Silence alerts…", () => silenceAlerts({
				kind: null,
				senderId: null
			}, allKinds, started), { id: "silence-alerts" }), view.silences.length === 0 ? quiet("No alerts are silenced.") : silencesTable(view.silences, ended)), card("Rules", {
				id: "rules",
				class: "wide"
			}, fixedRules() ? quiet(fixedRules()) : button("Add rule…", () => editRule(null, put), { id: "add-rule" }), view.rules === null ? quiet("Loading…") : ruleTable(view.rules, put)), card("Resolved", {
				id: "resolved",
				class: "wide"
			}, null, view.fault ? h("p", {
				class: "error",
				role: "alert"
			}, view.fault) : null, view.resolved === null ? quiet(view.fault ? "" : "Loading…") : view.resolved.length === 0 ? quiet("No resolved alerts yet.") : resolvedTable(view.resolved), view.next || view.page.number > 1 ? pager(view.page, view.next, byTime) : null));
		}
	};
}
function alertCard(alert, silenced) {
	const reason = forbidden(Acknowledge, "Acknowledging");
	return h("article", {
		key: alert.id,
		class: "alert",
		"data-tone": toneOf(alert.severity),
		"aria-label": summaryNow(alert)
	}, h("div", { class: "heading" }, h("h3", null, statusChip(alert.severity), " ", sentence(words(alert.kind)), alert.sender ? [" · ", h("a", { href: `#/senders/${encodeURIComponent(alert.sender.id)}` }, alert.sender.name)] : null), h("div", { class: "tools" }, h("span", { class: "quiet" }, "raised ", time(alert.raisedAt, "seconds"), ", ", ago(alert.raisedAt), " ago"), alert.state === "RAISED" ? reason ? quiet(reason) : button("Acknowledge…", () => acknowledge(alert), { class: "acknowledge" }) : chip("acknowledged", "warn"), alert.silence ? chip("silenced", "wait") : forbidden(SilenceAlerts) || !alert.sender && state.viewer?.senderIds ? null : button("Silence…", () => silenceAlerts({
		kind: alert.kind,
		senderId: alert.sender?.id ?? null
	}, allKinds, silenced), { class: "plain silence" }))), h("p", { class: "summary" }, summaryNow(alert)), units[alert.kind] === "none" ? null : facts([
		["Now", alert.current && [written(alert.kind, alert.current.value), h("span", { class: "quiet" }, " measured ", ago(alert.current.at), " ago")]],
		["When it was raised", written(alert.kind, alert.value)],
		["Threshold", written(alert.kind, alert.threshold)]
	]), alert.explanation.length > 0 ? h("ul", { class: "explanation" }, alert.explanation.map((line, i) => h("li", { key: i }, line))) : null, h("p", { class: "quiet" }, h("a", {
		href: `runbook.html#${runbook[alert.kind]}`,
		target: "_blank"
	}, "What to do: the runbook")), alert.silence ? silencedBy(alert.silence) : null, alert.acknowledgedAt ? quiet("Acknowledged ", time(alert.acknowledgedAt, "seconds"), alert.acknowledgedBy ? ` by ${alert.acknowledgedBy.name ?? alert.acknowledgedBy.id}` : "", alert.note ? [": ", h("q", null, alert.note)] : ".") : null);
}
function acknowledge(alert) {
	openDialog({
		title: "Acknowledge alert",
		label: () => "Acknowledge",
		body: () => [
			h("p", null, summaryNow(alert)),
			quiet("Others see that someone is handling it. The alert stays open until its cause is gone."),
			field("Note", h("input", {
				name: "note",
				autocomplete: "off"
			}), "Optional. Shown to others.")
		],
		run: async (values) => {
			const { acknowledgeAlert } = await ask(Acknowledge, {
				id: alert.id,
				note: values.note ?? null
			});
			if (state.alerts.has(alert.id)) putAlert(acknowledgeAlert);
			note("Alert acknowledged.");
		}
	});
}
var resolvedColumns = [
	{ name: "Severity" },
	{ name: "Summary" },
	{
		name: "Raised",
		class: "extra"
	},
	{
		name: "Lasted",
		class: "number"
	},
	{
		name: "Acknowledged",
		class: "extra"
	}
];
var resolvedTable = (resolved) => table$1({ class: "alerts-over" }, "Resolved alerts", resolvedColumns, resolved.map((alert) => h("tr", { key: alert.id }, h("td", null, statusChip(alert.severity)), h("td", { class: "wrap" }, alert.summary), h("td", { class: "extra" }, time(alert.raisedAt, "seconds")), h("td", { class: "number" }, alert.resolvedAt ? span(Math.floor((Date.parse(alert.resolvedAt) - Date.parse(alert.raisedAt)) / 1e3)) : "–"), h("td", { class: "extra wrap" }, alert.acknowledgedAt ? `by ${alert.acknowledgedBy?.name ?? alert.acknowledgedBy?.id ?? "someone"}${alert.note ? `: ${alert.note}` : ""}` : "no"))));
var ruleColumns = [
	{ name: "Rule" },
	{
		name: "Threshold",
		class: "number"
	},
	{
		name: "Window",
		title: "Window for measurements",
		class: "number"
	},
	{
		name: "For",
		title: "How long the condition must hold",
		class: "number"
	},
	{
		name: "Volume",
		title: "Minimum number of messages",
		class: "number"
	},
	{ name: "Severity" },
	{ name: "On" },
	{ name: "Change" }
];
/** Returns why the key can't change rules, or null. */
var fixedRules = () => forbidden(SetRule, "Changing rules") ?? (state.viewer?.senderIds ? "Changing rules requires a key that is not limited to senders." : null);
function ruleTable(rules, changed) {
	const fixed = fixedRules() !== null;
	return table$1({ class: "stack rules" }, "Alert rules", ruleColumns, rules.map((rule) => h("tr", {
		key: rule.id,
		id: `rule-${rule.id}`,
		class: rule.enabled ? "" : "off"
	}, h("th", { scope: "row" }, sentence(words(rule.kind)), rule.kind === "DELIVERY_LATENCY" ? h("span", { class: "quiet" }, ` ${words(rule.statistic)}`) : null, rule.senderId ? h("span", { class: "quiet" }, ` for ${rule.senderId}`) : null), cell("Threshold", { class: "number" }, written(rule.kind, rule.threshold)), cell("Window", { class: "number" }, length(rule.window)), cell("For", { class: "number" }, length(rule.for)), cell("Volume", { class: "number" }, rule.minimumVolume === 0 ? "–" : count(rule.minimumVolume)), cell("Severity", null, statusChip(rule.severity)), cell("On", null, h("input", {
		type: "checkbox",
		class: "switch",
		role: "switch",
		checked: rule.enabled,
		disabled: fixed,
		"aria-label": `${sentence(words(rule.kind))}: on`,
		onchange: (event) => {
			const box = event.target;
			ask(SetRule, { input: {
				id: rule.id,
				kind: rule.kind,
				senderId: rule.senderId,
				enabled: box.checked
			} }).then((data) => changed(data.setAlertRule), (error) => {
				box.checked = !box.checked;
				note(error.message, true);
			});
		}
	})), h("td", null, fixed ? null : button("Edit…", () => editRule(rule, changed), { class: "plain small edit" })))));
}
var length = (iso) => {
	const s = seconds(iso);
	return s ? span(s) : "–";
};
function editRule(rule, changed) {
	const chosen = reactive({ kind: rule?.kind ?? "ERROR_RATE" });
	const kinds = allKinds.map((name) => [name, sentence(words(name))]);
	openDialog({
		title: rule ? `Rule: ${words(rule.kind)}` : "Add rule",
		label: () => "Save",
		...rule ? {} : { lost: lostEntry },
		body: () => {
			const { kind } = chosen, unit = units[kind];
			return [
				rule ? null : field("Kind", h("select", {
					name: "kind",
					value: kind,
					onchange: (event) => {
						chosen.kind = held(event);
					}
				}, options(kinds, kind))),
				field("Sender", h("select", { name: "senderId" }, options(senderChoices("all together, and each one"), rule?.senderId ?? ""))),
				h("div", { class: "row" }, unit === "none" ? null : field(`Threshold, ${unitNames[unit]}`, h("input", {
					name: "threshold",
					type: "number",
					step: "any",
					min: 0,
					required: true,
					defaultValue: rule ? String(unit === "share" ? Number((rule.threshold * 100).toFixed(6)) : rule.threshold) : ""
				})), kind === "DELIVERY_LATENCY" ? field("Statistic", h("select", { name: "statistic" }, options([
					["AVERAGE", "average"],
					["P50", "p50"],
					["P95", "p95"]
				], rule?.statistic))) : null, field("Severity", h("select", { name: "severity" }, options([["WARNING", "warning"], ["CRITICAL", "critical"]], rule?.severity ?? "CRITICAL")))),
				h("div", { class: "row" }, rule && !seconds(rule.window) ? null : field("Window", h("input", {
					name: "window",
					defaultValue: rule ? spanInput(seconds(rule.window) ?? 0) : "",
					placeholder: "5 min",
					autocomplete: "off"
				}), "10 s to 3 h"), field("For", h("input", {
					name: "for",
					defaultValue: rule ? spanInput(seconds(rule.for) ?? 0) : "",
					placeholder: "1 min",
					autocomplete: "off"
				}), "how long the condition must hold"), field("Volume", h("input", {
					name: "minimumVolume",
					type: "number",
					min: 0,
					step: 1,
					defaultValue: rule ? String(rule.minimumVolume) : ""
				}), "minimum number of messages"))
			];
		},
		run: async (values) => {
			const { kind } = chosen, unit = units[kind];
			const input = {
				...rule ? { id: rule.id } : {},
				kind,
				senderId: values.senderId ?? null,
				severity: values.severity ?? null
			};
			if (values.threshold !== void 0 && unit !== "none") input.threshold = Number(values.threshold) / (unit === "share" ? 100 : 1);
			if (values.statistic) input.statistic = values.statistic;
			if (rule || values.minimumVolume !== void 0) input.minimumVolume = Number(values.minimumVolume ?? 0);
			for (const name of ["window", "for"]) {
				const text = values[name];
				if (text === void 0 && rule && seconds(rule[name])) throw new Error(`${sentence(name)} is empty. Enter a duration such as 5 min${name === "for" ? ", or 0" : ""}.`);
				if (text === void 0) continue;
				const s = parseSpan(text);
				if (s === null) throw new Error(`“${text}” is not a duration; use a format like 30 s, 5 min, or 1 h.`);
				input[name] = duration(s);
			}
			changed((await ask(SetRule, { input })).setAlertRule);
			note("Rule saved.");
		}
	});
}
// src/views/templates.ts
var pageSize$1 = 50;
var every$4 = 5e3;
/** The statuses that WhatsApp documents. A filter of another one can be given in the address. */
var statuses = [
	"APPROVED",
	"PAUSED",
	"PENDING",
	"REJECTED",
	"DISABLED",
	"IN_APPEAL",
	"LIMIT_EXCEEDED",
	"ARCHIVED",
	"PENDING_DELETION",
	"DELETED"
];
var read$3 = (query) => ({
	account: query.get("account") ?? "",
	status: query.get("status") ?? "",
	name: query.get("name") ?? "",
	page: pageOf(query),
	invalid: unknown(query, "account", "status", "name", "page", "after")
});
/** The business accounts of the senders. */
var accounts = () => [...new Set((state.senders ?? []).flatMap(({ businessAccountId: id }) => id ? [id] : []))].sort();
var choices = (any, values) => [["", any], ...values.map((value) => [value, value])];
function templates(route) {
	const { account, name, language } = route.params;
	return account && name && language ? template(account, name, language) : templateList(route);
}
function templateList(route) {
	const view = reactive({
		asked: read$3(route.query),
		list: null,
		fault: ""
	});
	async function load() {
		const { asked } = view, { account, status, name, page, invalid } = asked;
		if (invalid) return void (view.fault = invalid);
		try {
			const answer = await ask(Templates, {
				filter: {
					businessAccountId: account || null,
					status: status ? [status] : null,
					name: name || null
				},
				first: pageSize$1,
				after: page.after
			});
			if (asked === view.asked) Object.assign(view, {
				list: answer.templates,
				fault: ""
			});
		} catch (error) {
			if (asked === view.asked) view.fault = messageOf(error);
			throw error;
		}
	}
	let stop = poll(every$4, load);
	return {
		title: "Templates",
		stop: () => stop(),
		moved: (query) => {
			stop();
			Object.assign(view, {
				asked: read$3(query),
				list: null,
				fault: ""
			});
			stop = poll(every$4, load);
		},
		render: () => {
			const { asked, list, fault } = view, known = accounts();
			const next = list?.pageInfo.hasNextPage ? list.pageInfo.endCursor : null;
			return h("div", { class: "board" }, h("div", {
				class: "filters wide",
				role: "group",
				"aria-label": "Filters"
			}, choose("Business account", asked.account, choices("all", known), (value) => setFilter({ account: value })), choose("Status", asked.status, choices("any", statuses), (value) => setFilter({ status: value })), h(textFilter, {
				label: "Name",
				value: asked.name,
				onchange: (value) => setFilter({ name: value })
			}), asked.account || asked.status || asked.name || asked.invalid ? h("a", {
				class: "clear",
				href: "#/templates"
			}, "Clear all") : null), card("Templates", {
				id: "templates",
				class: "wide"
			}, forbidden(SyncTemplates) ? null : (asked.account ? [asked.account] : known).map((id) => button(known.length > 1 && !asked.account ? `Sync ${id}` : "Sync", () => sync(id, load), { id: `sync-${id}` })), fault ? h("p", {
				class: "error",
				role: "alert"
			}, fault) : null, list === null ? quiet(fault ? "" : "Loading…") : list.edges.length === 0 ? quiet(asked.account || asked.status || asked.name ? "No template matches these filters." : known.length > 0 ? "No template is known yet." : "No sender has a business account. Add it under Senders, so that Waypost can list the templates.") : rows(list), pager(asked.page, next, ["Previous", "Next"], "Updates automatically.")));
		}
	};
}
function sync(account, then) {
	attempt("Templates synced.", async () => {
		await ask(SyncTemplates, { account });
		await then();
	});
}
var columns$2 = [
	{ name: "Template" },
	{ name: "Status" },
	{ name: "Category" },
	{ name: "Quality" },
	{
		name: "Queued",
		title: "Messages that wait to be sent",
		class: "number"
	}
];
var rows = ({ edges }) => table$1({ class: "stack" }, "Templates, by account, name, and language", columns$2, edges.map(({ cursor, node }) => h("tr", { key: cursor }, cell("Template", { class: "wrap" }, h("a", { href: link([
	"templates",
	node.businessAccountId,
	node.name,
	node.language
]) }, node.name), " ", h("span", { class: "quiet" }, node.language)), cell("Status", null, status(node)), cell("Category", { class: "wrap" }, category(node)), cell("Quality", null, qualityChip(node.quality)), cell("Queued", { class: "number" }, count(node.queued)))));
var sendingTones = {
	SENDING: "good",
	WAITING: "warn",
	FAILING: "bad"
};
/** The status, in the tone of what happens to the messages of the template. */
var status = ({ status: name, sending }) => chip(words(name), sendingTones[sending]);
var category = ({ category: now, announcedCategory: next }) => (now ? words(now) : "–") + (next ? `, ${words(next)} soon` : "");
var qualityTones = {
	GREEN: "good",
	YELLOW: "warn",
	RED: "bad"
};
var qualityNames = {
	GREEN: "high",
	YELLOW: "medium",
	RED: "low",
	UNKNOWN: "not rated"
};
/** WhatsApp's quality score of a template or a number. */
var qualityChip = (score) => score === null ? "–" : chip(qualityNames[score] ?? words(score), qualityTones[score] ?? "wait");
var happens = {
	SENDING: "Messages of this template are sent.",
	WAITING: "WhatsApp accepts no messages of this template for now. Queued messages wait, and are sent when WhatsApp accepts it again.",
	FAILING: "WhatsApp will not accept messages of this template. Queued messages fail when their turn comes."
};
function template(account, name, language) {
	const view = reactive({
		found: void 0,
		fault: ""
	});
	async function load() {
		try {
			Object.assign(view, {
				found: (await ask(OneTemplate, {
					account,
					name,
					language
				})).template,
				fault: ""
			});
		} catch (error) {
			view.fault = messageOf(error);
			throw error;
		}
	}
	const stop = poll(every$4, load);
	return {
		title: `Template ${name}`,
		stop,
		render: () => {
			const { found, fault } = view;
			return h("div", { class: "board" }, h("div", { class: "page-head wide" }, h("h2", null, name, " ", h("span", { class: "quiet" }, language), " ", found ? status(found) : null), h("div", { class: "tools" }, h("a", { href: "#/templates" }, "All templates"), found && !forbidden(SyncTemplates) ? button("Sync", () => sync(account, load), { id: "sync" }) : null)), fault ? h("p", {
				class: "error wide",
				role: "alert"
			}, fault) : null, found === void 0 ? quiet(fault ? "" : "Loading…") : found === null ? card("No template", {
				class: "wide",
				id: "none"
			}, null, quiet("There is no template of this name and language, or the key has no access to it.")) : [details$1(found), preview(found)]);
		}
	};
}
function details$1(t) {
	return card("Details", { id: "details" }, null, h("div", {
		class: "callout",
		"data-tone": sendingTones[t.sending]
	}, h("p", null, happens[t.sending])), facts([
		["Status", [
			words(t.status),
			", ",
			time(t.statusAt, "seconds")
		]],
		["Reason", [t.statusReason, t.statusDetail].filter((reason) => reason && reason !== "NONE").join(": ") || null],
		["Queued", count(t.queued)],
		["Quality", qualityChip(t.quality)],
		["Category", t.category && words(t.category)],
		["Category before", t.previousCategory && t.categoryChangedAt && [
			words(t.previousCategory),
			", until ",
			time(t.categoryChangedAt, "seconds")
		]],
		["Announced category", t.announcedCategory && [words(t.announcedCategory), t.announcedFor ? [", from ", time(t.announcedFor, "seconds")] : null]],
		["Category by WhatsApp", t.correctCategory && words(t.correctCategory)],
		["Variables", t.parameterFormat && words(t.parameterFormat)],
		["Time to live", t.timeToLive && span(seconds(t.timeToLive))],
		["Business account", mono(t.businessAccountId)],
		["WhatsApp's ID", t.whatsappId && mono(t.whatsappId)]
	]), quiet(h("a", { href: link(["messages"], new URLSearchParams({ template: t.name })) }, "Messages")));
}
var preview = (t) => card("Preview", { id: "preview" }, null, t.listedAt ? [templateBubble(t.components), quiet("As of ", time(t.listedAt, "seconds"), ".")] : quiet("The parts of the template are not known until the next sync."));
// src/views/senders.ts
function senders(route) {
	const only = route.params.id;
	return {
		title: "Senders",
		stop: () => {},
		render: () => {
			const shown = (state.senders ?? []).filter((sender) => !only || sender.id === only);
			const reason = forbidden(RegisterSender, "Changing senders"), limited = state.viewer?.senderIds;
			return h("div", { class: "board" }, h("div", { class: "page-head wide" }, h("h2", null, only ? `Sender ${only}` : "Senders"), h("div", { class: "tools" }, only ? h("a", { href: "#/senders" }, "All senders") : null, reason ? quiet(reason) : limited ? null : button("Register sender…", register, {
				class: "",
				id: "register"
			}))), state.senders === null ? quiet("Loading…") : shown.length === 0 ? card("No sender", {
				class: "wide",
				id: "none"
			}, null, quiet(only ? "There is no sender with this ID, or the key has no access to it." : "Register the phone number to send messages from.")) : shown.map((sender) => h(SenderCard, {
				key: sender.id,
				sender
			})), only && shown.length > 0 ? h(History, {
				key: `history ${only}`,
				id: only
			}) : null);
		}
	};
}
var historyEvery = 5e3;
var historyLength = 50;
/** What operators and Waypost changed: who paused the sender, its rate, or its token, and when. */
function History({ id }) {
	const events = useSignal(null), more = useSignal(false), reason = forbidden(Log, "The history");
	A$1(() => reason ? void 0 : poll(historyEvery, async () => {
		const { events: { edges, pageInfo } } = await ask(Log, {
			filter: {
				stream: `sender-${id}`,
				senderId: state.viewer?.senderIds ? id : null
			},
			first: historyLength
		});
		events.value = edges.map(({ node }) => node);
		more.value = pageInfo.hasNextPage;
	}), [id, reason]);
	return card("History", {
		id: "history",
		class: "wide"
	}, reason ? null : h("a", { href: link(["ledger"], new URLSearchParams({
		sender: id,
		stream: `sender-${id}`
	})) }, "All events"), reason ? quiet(reason) : events.value === null ? quiet("Loading…") : table$1({ class: "stack" }, "Changes, newest first", [
		{ name: "Recorded" },
		{ name: "Change" },
		{ name: "Details" },
		{ name: "By" }
	], events.value.map((event) => h("tr", { key: event.id }, cell("Recorded", null, time(event.recordedAt, "seconds")), cell("Change", null, spaced(event.type)), cell("Details", { class: "wrap" }, details(event.data)), cell("By", { class: "wrap" }, actorOf(event.by))))), more.value ? quiet(`The newest ${count(historyLength)} changes. Older ones are in the log.`) : null);
}
/** Writes the members of an event's data. IDs of stored tokens are of no use to a reader. */
function details(data) {
	return Object.entries(data ?? {}).filter(([name, value]) => value !== null && !["sender", "tokenId"].includes(name)).map(([name, value]) => `${spaced(name).toLowerCase()} ${Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value)}`).join("; ");
}
/** The pauses with the same reason, time, and operator, together. */
function pausesOf({ pauses, pausedPriorities, pauseReason }) {
	const groups = /* @__PURE__ */ new Map();
	for (const lane of pausedPriorities) {
		const pause = pauses.find(({ priority }) => priority === lane) ?? (pauseReason ? { reason: pauseReason } : {});
		const key = JSON.stringify([
			pause.reason,
			pause.since,
			pause.by
		]);
		const group = groups.get(key);
		if (group) group.lanes.push(lane);
		else groups.set(key, {
			lanes: [lane],
			pause
		});
	}
	return [...groups.values()];
}
/** The paused lanes, with the reason, the operator, and the time of each pause. */
function pausedCallout(sender) {
	const all = sender.state === "PAUSED";
	return h("div", {
		class: "callout paused",
		"data-tone": "warn"
	}, pausesOf(sender).map(({ lanes, pause: { reason, since, by } }) => h("p", { key: lanes.join() }, h("strong", null, all && lanes.length === priorities.length ? "Paused" : `Paused: ${lanes.map(laneName).join(", ")}`), since ? [" since ", time(since, "seconds")] : null, by ? ` by ${actorOf(by)}` : null, reason ? [": ", h("q", null, reason)] : null, ".")));
}
function resumeLane(sender, lane) {
	return button("Resume", () => void attempt(`${sentence(laneName(lane))} lane of ${sender.name} resumed.`, async () => putSender((await ask(ResumeLanes, {
		id: sender.id,
		priorities: [lane]
	})).resumeLanes)), {
		class: "plain small resume-lane",
		"aria-label": `Resume the ${laneName(lane)} lane`,
		key: `resume ${lane}`
	});
}
var SenderCard = memo(({ sender }) => {
	const { id, hold } = sender;
	return card([
		sender.name,
		" ",
		h("span", { class: "quiet mono" }, id),
		" ",
		stateChip(sender)
	], {
		key: id,
		id: `sender-${id}`,
		class: "wide sender"
	}, actions$1(sender), hold ? h("div", {
		class: "callout",
		"data-tone": "bad"
	}, h("p", null, h("strong", null, hold.message), hold.code === null ? null : ` Code ${hold.code}.`, ` Held since `, time(hold.since, "seconds"), "."), h("p", null, hold.advice), quiet(hold.nextProbeAt ? [
		"Next check with WhatsApp: ",
		soon(hold.nextProbeAt),
		"."
	] : "No process sends for this sender, so none checks with WhatsApp whether the problem is fixed.")) : null, sender.breaker ? h("div", {
		class: "callout outage",
		"data-tone": "bad"
	}, h("p", null, h("strong", null, `WhatsApp has not responded to ${count(sender.breaker.failures)} calls in a row.`), ` Last failure: ${sender.breaker.lastFailure}. Messages wait since `, time(sender.breaker.since, "seconds"), "."), quiet([
		"Next call to find out whether WhatsApp responds: ",
		soon(sender.breaker.nextProbeAt),
		"."
	])) : null, sender.pausedPriorities.length > 0 ? pausedCallout(sender) : null, sender.throttledUntil && Date.parse(sender.throttledUntil) > drawnAt$1() ? h("div", {
		class: "callout",
		"data-tone": "warn"
	}, h("p", null, "Throttled by WhatsApp until ", time(sender.throttledUntil, "seconds"), ".")) : null, sender.restrictions.length > 0 ? h(Restrictions, {
		key: `restrictions ${id}`,
		sender
	}) : null, h("dl", { class: "figures" }, figureOf("Rate", `${count(sender.messagesPerSecond)}/s`), figureOf("Effective rate", `${figure(sender.effectiveRate)}/s`, sender.effectiveRate < sender.messagesPerSecond / 2 ? "warn" : null), figureOf("Queue", count(sender.queueDepth)), figureOf("Oldest due", span(floor(seconds(sender.oldestDueAge)))), figureOf("Drain/min", figure(sender.drainPerMinute)), figureOf("Empty in", emptyIn(sender), emptyIn(sender) === "never" ? "bad" : null), figureOf("Scheduled", count(sender.scheduled))), h("ul", {
		class: "lanes",
		"aria-label": "Lanes"
	}, sender.lanes.map(({ priority, depth, oldestDueAge }) => h("li", { key: priority }, h("strong", null, sentence(laneName(priority))), h("span", null, `${count(depth)} due`), oldestDueAge ? h("span", { class: "quiet" }, `oldest ${span(floor(seconds(oldestDueAge)))}`) : null, sender.pausedPriorities.includes(priority) ? [chip("paused", "warn"), forbidden(ResumeLanes) ? null : resumeLane(sender, priority)] : null))), facts([
		["Number", sender.displayPhoneNumber],
		["Phone number ID", mono(sender.phoneNumberId)],
		["Business account", sender.businessAccountId && mono(sender.businessAccountId)],
		["Quality", sender.quality && qualityChip(sender.quality)],
		["Messaging limit", sender.messagingLimit && limit(sender.messagingLimit)],
		["Allowed by WhatsApp", sender.throughput && `${count(sender.throughput)} messages per second`]
	]), h("p", { class: "quiet" }, h("a", { href: `#/?sender=${encodeURIComponent(id)}` }, "Plots"), " · ", h("a", { href: `#/messages?sender=${encodeURIComponent(id)}` }, "Messages"), " · ", h("a", { href: `#/dead-letters?sender=${encodeURIComponent(id)}` }, "Dead letters"), sender.businessAccountId ? [" · ", h("a", { href: `#/templates?account=${encodeURIComponent(sender.businessAccountId)}` }, "Templates")] : null));
});
/** To how many people the portfolio can start conversations, and to how many it did. */
var limit = ({ limit: people, used, resetsAt }) => {
	if (people === null) return "unlimited";
	const of = `${count(people)} people in 24 hours`;
	if (used === null) return of;
	return [`${count(used)} of ${of}`, used >= people && resetsAt ? [", one more at ", time(resetsAt, "seconds")] : null];
};
var restricted = {
	NOTHING: "Nothing waits because of it.",
	CATEGORY: "Messages with a template of its category wait.",
	TEMPLATES: "Messages with a template wait.",
	ALL: "All messages wait."
};
/** What WhatsApp doesn't allow the sender for now. */
function Restrictions({ sender }) {
	return h("div", {
		class: "callout restrictions",
		"data-tone": "bad"
	}, h("p", null, h("strong", null, "Restricted by WhatsApp")), h("ul", null, sender.restrictions.map(({ type, holds, since, until, reason }) => h("li", { key: type }, h("span", { class: "mono" }, type), " since ", time(since, "seconds"), until ? [" until ", time(until, "seconds")] : null, ". ", restricted[holds], reason ? quiet(reason) : null))), forbidden(LiftRestrictions) ? null : button("Lift…", () => lift(sender), { class: "plain lift" }));
}
function lift(sender) {
	openDialog({
		title: `Lift the restrictions of ${sender.name}`,
		label: () => "Lift",
		body: () => [h("p", null, "Do this only if Meta shows no restriction any longer, for example because a webhook was lost. WhatsApp still refuses what it restricts."), field("Reason", h("input", {
			name: "reason",
			required: true,
			autocomplete: "off"
		}), "Shown to operators.")],
		run: async ({ reason }) => {
			putSender((await ask(LiftRestrictions, {
				id: sender.id,
				reason
			})).liftRestrictions);
			note(`${sender.name} is not restricted any longer, as far as Waypost knows.`);
		}
	});
}
var floor = (s) => s === null || s < 1 ? s : Math.floor(s);
function figureOf(name, value, tone = null) {
	return h("div", {
		key: name,
		"data-tone": tone
	}, h("dt", null, name), h("dd", null, value));
}
function soon(at) {
	const left = Math.ceil((Date.parse(at) - drawnAt$1()) / 1e3);
	return left <= 0 ? "now" : [
		`in ${span(left)} (`,
		time(at, "seconds"),
		")"
	];
}
function actions$1(sender) {
	if (forbidden(Pause)) return null;
	const stopped = sender.state === "PAUSED" || sender.pausedPriorities.length > 0;
	const resume = (done) => void attempt(done, async () => putSender((await ask(Resume, { id: sender.id })).resumeSender));
	return [
		sender.hold ? button("Check now", () => resume("Checking with WhatsApp now."), { class: "probe" }) : null,
		stopped ? button("Resume all lanes", () => resume(`${sender.name} resumed.`), { class: "resume" }) : null,
		sender.state === "PAUSED" ? null : button("Pause…", () => pause$1(sender), { class: "plain pause" }),
		button("Rate…", () => setRate(sender), { class: "plain rate" }),
		button("Token…", () => setToken(sender), { class: "plain token" }),
		button("Edit…", () => edit$1(sender), { class: "plain edit" })
	];
}
function pause$1(sender) {
	openDialog({
		title: `Pause ${sender.name}`,
		label: () => "Pause",
		body: () => [
			h("p", null, "Messages are still accepted and wait. Calls in flight are completed."),
			h("fieldset", null, h("legend", null, "Lanes"), priorities.map((priority) => h("label", {
				class: "check",
				key: priority
			}, h("input", {
				type: "checkbox",
				name: `lane-${priority}`,
				value: priority,
				defaultChecked: true
			}), sentence(laneName(priority))))),
			field("Reason", h("input", {
				name: "reason",
				required: true,
				autocomplete: "off"
			}), "Shown to operators.")
		],
		run: async (values) => {
			const chosen = priorities.filter((priority) => values[`lane-${priority}`]);
			if (chosen.length === 0) throw new Error("Choose at least one lane.");
			const { pauseSender } = await ask(Pause, {
				id: sender.id,
				reason: values.reason,
				priorities: chosen.length === priorities.length ? null : chosen
			});
			putSender(pauseSender);
			note(`${sender.name} paused.`);
		}
	});
}
function setRate(sender) {
	openDialog({
		title: `Rate of ${sender.name}`,
		label: () => "Set rate",
		body: () => field("Calls per second", h("input", {
			name: "messagesPerSecond",
			type: "number",
			min: 1,
			max: 1e3,
			step: 1,
			required: true,
			defaultValue: String(sender.messagesPerSecond)
		}), "The maximum in any second. WhatsApp initially allows 80."),
		run: async (values) => {
			putSender((await ask(SetRate, {
				id: sender.id,
				messagesPerSecond: Number(values.messagesPerSecond)
			})).setSenderRate);
			note(`${sender.name} makes at most ${values.messagesPerSecond} calls per second.`);
		}
	});
}
var tokenField = (required) => field("Access token", h("input", {
	name: "accessToken",
	type: "password",
	autocomplete: "off",
	spellcheck: false,
	required
}), "Stored encrypted and never shown again.");
function setToken(sender) {
	openDialog({
		title: `Access token of ${sender.name}`,
		label: () => "Replace token",
		body: () => [h("p", null, "Replaces the current token", sender.hold ? " and checks with WhatsApp immediately whether the problem is fixed." : "."), tokenField(true)],
		run: async ({ accessToken }) => {
			putSender((await ask(UpdateSender, { input: {
				id: sender.id,
				accessToken
			} })).updateSender);
			note(`${sender.name} has a new token.`);
		}
	});
}
function edit$1(sender) {
	openDialog({
		title: `Edit ${sender.name}`,
		label: () => "Save",
		body: () => [
			field("Name", h("input", {
				name: "name",
				required: true,
				defaultValue: sender.name,
				autocomplete: "off"
			})),
			field("Number", h("input", {
				name: "displayPhoneNumber",
				defaultValue: sender.displayPhoneNumber ?? "",
				autocomplete: "off"
			}), "In a readable format."),
			field("Business account", h("input", {
				name: "businessAccountId",
				defaultValue: sender.businessAccountId ?? "",
				inputmode: "numeric",
				autocomplete: "off"
			}), "Meta's WhatsApp Business Account ID.")
		],
		run: async (values) => {
			putSender((await ask(UpdateSender, { input: {
				id: sender.id,
				displayPhoneNumber: "",
				businessAccountId: "",
				...values
			} })).updateSender);
			note("Saved.");
		}
	});
}
function register() {
	openDialog({
		title: "Register sender",
		label: () => "Register",
		body: () => [
			h("div", { class: "row" }, field("ID", h("input", {
				name: "id",
				required: true,
				pattern: "[A-Za-z0-9_\\-]+",
				autocomplete: "off",
				spellcheck: false
			}), "Letters, digits, -, and _. It cannot be changed."), field("Name", h("input", {
				name: "name",
				required: true,
				autocomplete: "off"
			}))),
			h("div", { class: "row" }, field("Phone number ID", h("input", {
				name: "phoneNumberId",
				required: true,
				inputmode: "numeric",
				autocomplete: "off"
			}), "Meta's phone_number_id."), field("Business account", h("input", {
				name: "businessAccountId",
				inputmode: "numeric",
				autocomplete: "off"
			}), "WhatsApp Business Account ID.")),
			h("div", { class: "row" }, field("Number", h("input", {
				name: "displayPhoneNumber",
				autocomplete: "off"
			}), "In a readable format."), field("Calls per second", h("input", {
				name: "messagesPerSecond",
				type: "number",
				min: 1,
				max: 1e3,
				step: 1,
				defaultValue: "80",
				required: true
			}))),
			tokenField(false),
			quiet("If empty, the server's default token is used.")
		],
		run: async ({ messagesPerSecond, id, name, phoneNumberId, ...rest }) => {
			putSender((await ask(RegisterSender, { input: {
				id,
				name,
				phoneNumberId,
				messagesPerSecond: Number(messagesPerSecond),
				...rest
			} })).registerSender);
			note(`${name} registered.`);
		}
	});
}
// src/views/ledger.ts
var pageSize = 50;
var names = [
	"sender",
	"at",
	"type",
	"stream",
	"message"
];
var read$2 = (query) => ({
	...Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])),
	page: pageOf(query),
	invalid: query.get("at") && momentOf(query.get("at")) === null ? `“${query.get("at")}” is not a time.` : unknown(query, ...names, "page", "after")
});
function ledger(route) {
	const view = reactive({
		asked: read$2(route.query),
		books: null,
		events: null,
		next: null,
		searching: false,
		fault: "",
		logFault: ""
	});
	let stop = () => {}, round = 0;
	function begin(query) {
		const asked = read$2(query);
		round++;
		Object.assign(view, {
			asked,
			books: null,
			events: null,
			next: null,
			searching: false,
			fault: asked.invalid,
			logFault: ""
		});
		stop();
		if (forbidden(Ledger) || asked.invalid) return;
		const asOf = asOfAddress();
		stop = poll(2e3, () => load(asOf));
		log();
	}
	/** The time of the address. Older addresses have it without a time zone. */
	function asOfAddress() {
		const { at } = view.asked;
		return at ? /Z|[+-]\d\d:\d\d$/.test(at) ? new Date(at).toISOString() : fromField(at) : null;
	}
	/** Loads the ledger. Returns true if repeating it is of no use: the past does not change. */
	async function load(asOf) {
		const { asked } = view;
		try {
			const { ledger: books } = await ask(Ledger, {
				senderId: figuresOf(asked.sender),
				asOf
			});
			if (!asOf) sawServerTime(books.asOf);
			if (asked === view.asked) Object.assign(view, {
				books,
				fault: ""
			});
			return asOf !== null;
		} catch (error) {
			if (asked !== view.asked) return true;
			view.fault = messageOf(error);
			if (rejected(error)) return true;
			throw error;
		}
	}
	async function log() {
		const mine = ++round;
		view.searching = true;
		const { type, stream, message, page } = view.asked, sender = figuresOf(view.asked.sender), to = asOfAddress();
		const types = type.split(/[\s,]+/).filter(Boolean);
		const filter = {
			...type ? { types } : {},
			...stream ? { streamPrefix: stream } : {},
			...sender ? { senderId: sender } : {},
			...message ? { correlationId: message } : {},
			...to ? { to } : {}
		};
		try {
			if (type && types.length === 0) throw new Error(`“${type}” contains no event types.`);
			const { events: { edges, pageInfo } } = await ask(Log, {
				filter,
				first: pageSize,
				after: page.after
			});
			if (mine === round) Object.assign(view, {
				events: edges.map(({ node }) => node),
				next: pageInfo.hasNextPage ? pageInfo.endCursor : null,
				logFault: ""
			});
		} catch (error) {
			if (mine === round) view.logFault = messageOf(error);
		}
		if (mine === round) view.searching = false;
	}
	begin(route.query);
	return {
		title: "Ledger and log",
		stop: () => stop(),
		moved: begin,
		render
	};
	function render() {
		const reason = forbidden(Ledger), { books, events, next, searching, fault, logFault } = view;
		const { sender, at, type, stream, message, page } = view.asked;
		if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Ledger and log"), quiet(reason));
		const asked = view.asked.invalid ? null : asOfAddress();
		return h("div", { class: "board" }, h("div", {
			class: "filters wide",
			role: "group",
			"aria-label": "Filters"
		}, choose("Sender", figuresOf(sender) ?? "", figureChoices("all"), (value) => setFilter({ sender: value })), h(textFilter, {
			label: "As of",
			type: "datetime-local",
			step: 1,
			value: toField(asked ?? ""),
			id: "as-of",
			onchange: (value) => setFilter({ at: fromField(value) })
		}), at ? button("Now", () => setFilter({ at: null }), { class: "plain small" }) : null, view.asked.invalid ? h("a", {
			class: "clear",
			href: "#/ledger"
		}, "Clear all") : null), card(["Ledger ", balanced(books)], {
			id: "ledger",
			class: "wide"
		}, quiet(books ? ["Complete up to ", time(books.asOf, "seconds")] : ""), fault ? h("p", {
			class: "error",
			role: "alert"
		}, fault) : null, ledgerFigures(books), quiet("Every accepted message is in exactly one column. ", state.behind === null ? "" : state.behind === 0 ? "The lists are up to date." : `The lists are ${span(state.behind)} behind the event log.`)), card("Log", {
			id: "log",
			class: "wide"
		}, button("Reload", () => void log()), h("div", { class: "filters" }, h(textFilter, {
			label: "Type",
			value: type,
			placeholder: "Queued, Sent",
			onchange: (value) => setFilter({ type: value })
		}), h(textFilter, {
			label: "Stream begins with",
			value: stream,
			placeholder: "sender-",
			onchange: (value) => setFilter({ stream: value })
		}), h(textFilter, {
			label: "Message",
			value: message,
			placeholder: "ID",
			onchange: (value) => setFilter({ message: value })
		}), type || stream || message ? h("a", {
			class: "clear",
			href: "#/ledger"
		}, "Clear all") : null), logFault ? h("p", {
			class: "error",
			role: "alert"
		}, logFault) : null, events === null ? quiet(searching ? "Searching the event log…" : "") : events.length === 0 ? quiet(next ? "No events on this page. Older ones may match." : "No events found.") : eventTable(events), pager(page, next, byTime, events ? plural(events.length, "event") : "")));
	}
}
function eventTable(events) {
	return h("table", { class: "stack log" }, h("caption", { class: "unseen" }, "Recorded events, newest first"), h("thead", null, h("tr", null, [
		"Recorded",
		"Event",
		"Stream",
		"By",
		"Data"
	].map((name) => h("th", {
		scope: "col",
		key: name
	}, name)))), h("tbody", null, events.map((event) => h("tr", { key: event.id }, cell("Recorded", null, time(event.recordedAt)), cell("Event", null, h("strong", null, event.type)), cell("Stream", { class: "mono wrap" }, event.correlationId ? h("a", { href: `#/messages/${event.correlationId}` }, `${event.stream}`) : event.stream, h("span", { class: "quiet" }, ` ${event.revision}`)), cell("By", { class: "wrap" }, actorOf(event.by)), h("td", { class: "wrap" }, h("details", null, h("summary", null, "Data"), facts([
		["ID", mono(event.id)],
		["Happened", event.occurredAt && time(event.occurredAt)],
		["By", mono(event.by.id)]
	]), h("pre", { tabindex: 0 }, JSON.stringify(event.data, null, 2))))))));
}
// src/views/queue.ts
function queue(route) {
	const view = reactive({
		kind: "text",
		busy: false,
		fault: "",
		accepted: []
	});
	const policy = reactive({
		sender: "",
		outside: "SEND",
		choices: [],
		typed: noTemplates
	});
	let stopped = false, listed = "";
	const given = reactive({
		...blank,
		to: route.query.get("to") ?? "",
		sender: route.query.get("sender") ?? "",
		loaded: true
	});
	const copyOf = route.query.get("copy");
	if (copyOf) copy(copyOf);
	/** Fills the form with the values of another message. */
	async function copy(id) {
		given.loaded = false;
		try {
			const { message } = await ask(OneMessage, {
				id,
				audit: false
			});
			if (message?.content == null) throw new Error("The message has no content to copy.");
			const { kind, ...content } = contentFields(message.type, message.content);
			view.kind = kind;
			Object.assign(given, content, {
				to: message.to ?? message.toUserId ?? "",
				sender: message.sender.id,
				priority: message.priority,
				onAmbiguous: message.onAmbiguous,
				labels: message.labels.map(({ name, value }) => `${name}=${value}`).join(", ")
			});
			type({
				name: given.name,
				language: given.language
			});
		} catch (error) {
			view.fault = messageOf(error);
		}
		given.loaded = true;
	}
	/** Loads the templates of the chosen sender's account, for the form to offer. */
	async function offer() {
		const senders = state.senders ?? [], chosen = policy.sender || given.sender;
		const account = (chosen ? senders.find(({ id }) => id === chosen) : senders[0])?.businessAccountId ?? "";
		if (account === listed || forbidden(TemplateChoices)) return;
		[listed, policy.choices] = [account, []];
		if (!account) return;
		try {
			const { templates } = await ask(TemplateChoices, { account });
			if (account === listed) policy.choices = templates.edges.map(({ node }) => node).filter(({ sending }) => sending !== "FAILING");
		} catch (error) {
			report(error);
		}
	}
	const type = (change) => {
		policy.typed = {
			...policy.typed,
			...change
		};
	};
	/** Keeps the texts of fields that are about to be replaced by others, for when they are shown again. */
	function keep() {
		const form = new FormData(document.querySelector("#queue") ?? void 0);
		for (const name of replaced) given[name] = String(form.get(name) ?? given[name]);
	}
	async function submit(event) {
		event.preventDefault();
		if (view.busy) return;
		const form = event.currentTarget;
		[view.busy, view.fault] = [true, ""];
		markField(form, null);
		try {
			const { message: { id }, replayed } = await queueOnce(read$1(values(form), view.kind, policy.choices), (text) => {
				view.fault = text;
			}, () => stopped);
			view.accepted = [{
				id,
				replayed
			}, ...view.accepted].slice(0, 10);
			view.fault = "";
			form.elements.namedItem("body")?.select();
		} catch (error) {
			view.fault = error instanceof ServerAway ? "No response. Press Queue again: the message will not be sent twice." : messageOf(error);
			markField(form, error instanceof Refused ? inputOf(error.field) : error instanceof WrongField ? error.field : null);
		}
		view.busy = false;
	}
	return {
		title: "Queue a message",
		stop: () => {
			stopped = true;
		},
		render: () => {
			const reason = forbidden(Queue);
			if (view.kind === "template" || policy.outside === "FALLBACK") f(offer);
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Queue a message"), quiet(reason));
			return h("div", { class: "board" }, card("Queue a message", { id: "queue-card" }, segments("Content", view.kind, [
				["text", "Text"],
				["template", "Template"],
				["other", "Other"]
			], (id) => {
				keep();
				view.kind = id;
			}), copyOf && given.loaded && !view.fault ? quiet("A copy of message ", messageLink(copyOf), ". It is queued as a new message, without the original's schedule, time until it is overdue, key, reply, and rule for a closed window.") : null, !given.loaded ? quiet("Loading…") : h("form", {
				id: "queue",
				onsubmit: submit
			}, h("div", { class: "row" }, field("Sender", h("select", {
				name: "senderId",
				required: true,
				onchange: (event) => {
					policy.sender = held(event);
				}
			}, options((state.senders ?? []).map(({ id, name }) => [id, `${name} (${id})`]), given.sender))), field("Number or user ID", h("input", {
				name: "to",
				autocomplete: "off",
				placeholder: "+1 415 555 0101",
				required: true,
				defaultValue: given.to
			}))), content(view.kind, given, policy, type), h("div", { class: "row" }, field("Lane", h("select", { name: "priority" }, options([
				["OTP", "OTP"],
				["TRANSACTIONAL", "transactional"],
				["BULK", "bulk"]
			], given.priority))), field("If a response is lost", h("select", { name: "onAmbiguous" }, options([["RESEND", "send again"], ["DEAD_LETTER", "dead letter"]], given.onAmbiguous)))), view.kind === "template" ? null : [field("If the 24-hour window is closed", h("select", {
				name: "outsideWindow",
				onchange: (event) => {
					keep();
					policy.outside = held(event);
				}
			}, options([
				["SEND", "send anyway"],
				["FALLBACK", "send a template instead"],
				["FAIL", "fail"]
			], policy.outside)), "Waypost acts only if it is certain that the window is closed, or when WhatsApp refuses the message."), policy.outside === "FALLBACK" ? templateFields("fallback", given, policy, type) : null], h("details", null, h("summary", null, "Schedule, labels, and key"), h("div", { class: "row" }, field(`Not before${utc.value ? ", UTC" : ""}`, h("input", {
				name: "sendAt",
				type: "datetime-local",
				step: 1
			})), field(`Not after${utc.value ? ", UTC" : ""}`, h("input", {
				name: "expiresAt",
				type: "datetime-local",
				step: 1
			}))), field("Overdue after", h("input", {
				name: "deliverWithin",
				type: "number",
				min: 1,
				max: 2592e3,
				step: 1
			}), "Seconds from WhatsApp's acceptance. If the message is not delivered by then, its delivery is reported as overdue."), field("Labels", h("input", {
				name: "labels",
				autocomplete: "off",
				defaultValue: given.labels,
				placeholder: "campaign=spring, order=1042"
			})), field("Idempotency key", h("input", {
				name: "idempotencyKey",
				autocomplete: "off",
				spellcheck: false
			}), "Repeating the same key and content returns the same message. Don't include personal data. If empty, a key is generated.")), h("p", {
				class: "error",
				role: "alert"
			}, view.fault), h("div", { class: "actions" }, h("button", {
				type: "submit",
				disabled: view.busy || !state.senders
			}, view.busy ? "Queueing…" : "Queue")))), card("Accepted", { id: "accepted" }, null, h("div", {
				id: "queue-note",
				role: "status"
			}, view.accepted.length === 0 ? null : h("ul", { class: "accepted" }, view.accepted.map(({ id, replayed }) => h("li", { key: `${id}${replayed}` }, replayed ? "Already queued: " : "Message queued: ", messageLink(id), ".")))), view.accepted.length === 0 ? quiet("Queued messages are durably recorded. Follow them here.") : null));
		}
	};
}
var noTemplates = {
	name: "",
	language: "",
	fallbackName: "",
	fallbackLanguage: ""
};
/** The names of the form's inputs for a template: of the content, or of the fallback. */
var inputsOf = (of) => of === "template" ? {
	name: "name",
	language: "language",
	variables: "variables"
} : {
	name: "fallbackName",
	language: "fallbackLanguage",
	variables: "fallbackVariables"
};
/** The fields for a template. They offer those that are known, and show the chosen one. */
function templateFields(of, given, { choices, typed }, type) {
	const inputs = inputsOf(of), name = typed[inputs.name], named = choices.filter((choice) => choice.name === name);
	const chosen = named.find(({ language }) => language === typed[inputs.language]);
	const variables = chosen?.components ? bodyVariables(chosen.components) : null;
	const typing = (input) => (event) => type({ [inputs[input]]: held(event) });
	return h("div", {
		class: "chosen-template",
		key: of
	}, h("div", { class: "row" }, field(of === "template" ? "Template" : "Fallback template", h("input", {
		name: inputs.name,
		required: true,
		defaultValue: given[inputs.name],
		autocomplete: "off",
		spellcheck: false,
		placeholder: "hello_world",
		list: `${of}-names`,
		oninput: typing("name")
	})), field(of === "template" ? "Language" : "Fallback language", h("input", {
		name: inputs.language,
		required: true,
		defaultValue: given[inputs.language],
		autocomplete: "off",
		spellcheck: false,
		placeholder: named[0]?.language ?? "en_US",
		list: `${of}-languages`,
		oninput: typing("language")
	}))), h("datalist", { id: `${of}-names` }, options([...new Set(choices.map((choice) => choice.name))].map((one) => [one, one]))), h("datalist", { id: `${of}-languages` }, options(named.map(({ language }) => [language, language]))), chosen?.components ? templateBubble(chosen.components) : null, variables?.length === 0 ? null : field(of === "template" ? "Body variables" : "Fallback variables", h("textarea", {
		name: inputs.variables,
		rows: 3,
		defaultValue: given[inputs.variables]
	}), variables ? `One per line: ${variables.map((variable) => `{{${variable}}}`).join(", ")}.` : "One per line, in order."));
}
/** The fields that depend on the kind of content, or on the rule for a closed window. */
var replaced = [
	"body",
	"name",
	"language",
	"variables",
	"json",
	"fallbackName",
	"fallbackLanguage",
	"fallbackVariables"
];
var blank = {
	sender: "",
	to: "",
	priority: "TRANSACTIONAL",
	onAmbiguous: "RESEND",
	labels: "",
	body: "",
	name: "",
	language: "",
	variables: "",
	json: "",
	fallbackName: "",
	fallbackLanguage: "",
	fallbackVariables: ""
};
/** Returns the fields of the form for the content of a message, which is the Cloud API's object of its type. */
function contentFields(type, content) {
	const object = content;
	if (type === "TEXT") return {
		kind: "text",
		body: String(object.body ?? "")
	};
	if (type !== "TEMPLATE") return {
		kind: "other",
		json: JSON.stringify({ [type.toLowerCase()]: content }, null, 2)
	};
	const components = object.components ?? [], language = String(object.language.code);
	const parameters = components[0]?.parameters ?? [];
	if (components.length > 1 || components[0] && components[0].type !== "body" || parameters.some(({ type: kind, parameter_name: named }) => kind !== "text" || named)) {
		const shaped = components.map(({ type: kind, sub_type: subType, index, ...rest }) => ({
			type: String(kind).toUpperCase(),
			...subType ? { subType } : {},
			...index !== void 0 ? { index: Number(index) } : {},
			...rest
		}));
		return {
			kind: "other",
			json: JSON.stringify({ template: {
				name: object.name,
				language,
				components: shaped
			} }, null, 2)
		};
	}
	return {
		kind: "template",
		name: String(object.name),
		language,
		variables: parameters.map(({ text }) => String(text)).join("\n")
	};
}
function content(kind, given, offer, type) {
	switch (kind) {
		case "text": return field("Text", h("textarea", {
			name: "body",
			rows: 4,
			required: true,
			dir: "auto",
			defaultValue: given.body
		}));
		case "template": return templateFields("template", given, offer, type);
		default: return field("Content as JSON", h("textarea", {
			name: "json",
			rows: 6,
			required: true,
			defaultValue: given.json,
			spellcheck: false,
			class: "mono",
			placeholder: "{ \"image\": { \"link\": \"https://…\", \"caption\": \"…\" } }"
		}), "A MessageContentInput: image, video, audio, document, sticker, location, contacts, reaction, or interactive.");
	}
}
/** Returns the name of the form's input for a field of the request: both kinds of recipients are in one. */
function inputOf(name) {
	if (name === "toUserId") return "to";
	const [first, second] = (name ?? "").split(".");
	return first === "fallback" ? inputsOf("fallback")[second === "language" || second === "name" ? second : "variables"] : name;
}
function read$1(held, kind, choices) {
	const labels = (held.labels ?? "").split(",").map((label) => label.trim()).filter(Boolean).map((label) => {
		const at = label.indexOf("=");
		if (at <= 0) throw new WrongField("labels", `“${label}” is not a label; use name=value.`);
		return {
			name: label.slice(0, at).trim(),
			value: label.slice(at + 1).trim()
		};
	});
	return {
		senderId: held.senderId ?? "",
		...isUserId(held.to ?? "") ? { toUserId: held.to } : { to: held.to ?? "" },
		content: contentOf(held, kind, choices),
		priority: held.priority,
		onAmbiguous: held.onAmbiguous,
		...held.sendAt ? { sendAt: fromField(held.sendAt) } : {},
		...held.expiresAt ? { expiresAt: fromField(held.expiresAt) } : {},
		...held.outsideWindow && held.outsideWindow !== "SEND" ? { outsideWindow: held.outsideWindow } : {},
		...held.outsideWindow === "FALLBACK" ? { fallback: templateOf(held, "fallback", choices) } : {},
		...held.deliverWithin ? { deliverWithin: `PT${held.deliverWithin}S` } : {},
		...labels.length > 0 ? { labels } : {},
		...held.idempotencyKey ? { idempotencyKey: held.idempotencyKey } : {}
	};
}
/** Reads the fields for a template. A known one can name its variables. */
function templateOf(held, of, choices) {
	const inputs = inputsOf(of), name = held[inputs.name] ?? "", language = held[inputs.language] ?? "";
	const lines = (held[inputs.variables] ?? "").trimEnd().split("\n").map((line) => line.trim());
	const blank = lines.indexOf("");
	if (blank >= 0 && lines.length > 1) throw new WrongField(inputs.variables, `Variable {{${blank + 1}}} is blank; WhatsApp needs a value for each.`);
	const known = choices.find((choice) => choice.name === name && choice.language === language);
	const wanted = known?.components ? bodyVariables(known.components).length : null, filled = lines.filter(Boolean).length;
	if (wanted !== null && wanted !== filled) throw new WrongField(inputs.variables, `The template has ${plural(wanted, "variable")} in its body, but ${count(filled)} ${filled === 1 ? "is" : "are"} given.`);
	const names = known?.parameterFormat === "NAMED" ? bodyVariables(known.components) : [];
	const parameters = lines.filter(Boolean).map((text, i) => ({
		type: "text",
		text,
		...names[i] ? { parameter_name: names[i] } : {}
	}));
	return {
		name,
		language,
		...parameters.length > 0 ? { components: [{
			type: "BODY",
			parameters
		}] } : {}
	};
}
function contentOf(held, kind, choices) {
	if (kind === "text") return textContent(held.body ?? "");
	if (kind === "template") return { template: templateOf(held, "template", choices) };
	try {
		return JSON.parse(held.json ?? "");
	} catch (error) {
		throw new WrongField("json", `Invalid JSON: ${error.message}`);
	}
}
// src/views/break_it.ts
var share = {
	steps: [
		0,
		.01,
		.02,
		.05,
		.1,
		.2,
		.3,
		.5,
		.75,
		1
	],
	from: Number,
	to: (step) => step,
	text: (step) => step === 0 ? "none" : `${Math.round(step * 100)}%`,
	broken: (step) => step > 0
};
/** Returns the milliseconds of a duration in Go's notation, such as 1m30s or 50ms. */
function milliseconds(text) {
	const units = {
		ns: 1e-6,
		us: .001,
		"µs": .001,
		ms: 1,
		s: 1e3,
		m: 6e4,
		h: 36e5
	};
	return [...String(text).matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}
var delay = (steps, usual) => ({
	steps,
	from: milliseconds,
	to: (ms) => `${ms}ms`,
	text: (ms) => span(ms / 1e3),
	broken: (ms) => ms > usual
});
var faults = [
	{
		id: "drop",
		name: "Drop responses",
		note: "accepted, then the connection is cut",
		setting: "drop_response_rate",
		...share
	},
	{
		id: "errors",
		name: "Temporary errors",
		note: "code 131000: retried, then dead letters",
		setting: "error_rate",
		with: { error_codes: [131e3] },
		...share
	},
	{
		id: "server-errors",
		name: "Empty 502",
		note: "unknown whether the message was accepted",
		setting: "empty_5xx_rate",
		...share
	},
	{
		id: "refuse",
		name: "Permanent errors",
		note: "code 131026, undeliverable: never retried",
		setting: "fail_after_accept_rate",
		...share
	},
	{
		id: "throttle",
		name: "Throttle",
		note: "code 130429 above this rate",
		setting: "rate",
		steps: [
			1e3,
			500,
			200,
			80,
			40,
			20,
			10,
			5,
			2,
			1
		],
		from: (value) => Number(value) === 0 ? 1e3 : Number(value),
		to: (rate) => rate,
		text: (rate) => `above ${rate}/s`,
		broken: (rate) => rate < 80
	},
	{
		id: "slow",
		name: "Slow down calls",
		note: "time until a response",
		setting: "latency",
		...delay([
			0,
			50,
			120,
			250,
			500,
			1e3,
			2e3,
			5e3,
			1e4,
			2e4
		], 250)
	},
	{
		id: "late",
		name: "Late webhooks",
		note: "time between statuses: delivery latency",
		setting: "webhook_delay",
		...delay([
			0,
			50,
			300,
			900,
			2e3,
			5e3,
			1e4,
			2e4
		], 900)
	},
	{
		id: "silent",
		name: "Lose webhooks",
		note: "statuses that are never sent",
		setting: "webhook_drop_rate",
		...share
	}
];
var repaired = {
	...Object.fromEntries(faults.map(({ setting }) => [setting, null])),
	error_codes: null,
	hang_numbers: null,
	fail_numbers: null
};
async function control(request = {}) {
	let response;
	try {
		response = await fetch("demo/control", {
			...request,
			headers: {
				...request.headers,
				authorization: `Bearer ${state.demo.secret}`
			},
			signal: AbortSignal.timeout(1e4)
		});
	} catch (cause) {
		throw new Error("Cannot reach the simulator's settings.", { cause });
	}
	if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `The simulator responded with status ${response.status}.`);
	return response;
}
function breakIt(_) {
	const view = reactive({
		settings: null,
		said: "",
		bad: false,
		dragged: /* @__PURE__ */ new Map()
	});
	let changes = Promise.resolve();
	const load = async () => {
		view.settings = await (await control()).json();
	};
	function change(next, done) {
		changes = changes.then(async () => {
			try {
				await control({
					method: "PUT",
					headers: { "content-type": "application/json" },
					body: JSON.stringify(next)
				});
				await load();
				[view.said, view.bad] = [done, false];
			} catch (error) {
				[view.said, view.bad] = [messageOf(error), true];
			}
			view.dragged = /* @__PURE__ */ new Map();
		});
	}
	return {
		title: "Break it",
		stop: state.demo ? poll(5e3, load) : () => {},
		render
	};
	function render() {
		if (!state.demo) return h("section", { class: "card narrow" }, h("h2", null, "Break it"), quiet("Only the demo (waypost demo) has a simulated WhatsApp that you can break."));
		const hanging = listed("hang_numbers"), held = Object.keys(view.settings?.fail_numbers ?? {});
		const broken = view.settings === null ? 0 : faults.filter((fault) => fault.broken(fault.from(view.settings[fault.setting] ?? 0))).length + Number(hanging.length > 0) + Number(held.length > 0);
		return h("div", { class: "board" }, card(["Break it ", chip(broken === 0 ? "nothing broken" : `${broken} ${broken === 1 ? "thing" : "things"} broken`, broken === 0 ? "good" : "bad", { id: "broken" })], {
			id: "break",
			class: "wide"
		}, button("Fix everything", () => change(repaired, "Everything is fixed."), {
			id: "mend",
			class: ""
		}), quiet("These change the simulated WhatsApp at ", h("code", null, state.demo.simulator), ", not Waypost. Watch the ", h("a", { href: "#/" }, "overview"), ", the ", h("a", { href: "#/messages" }, "messages"), ", and the ", h("a", { href: "#/ledger" }, "ledger"), " while you change them."), h("form", {
			id: "faults",
			class: "faults",
			onsubmit: (event) => event.preventDefault()
		}, faults.map(slider), numbers("Hang a number", "its calls get no response", "hang", hanging, (ids) => change({ hang_numbers: ids }, "Changed.")), numbers("Expire a token", "code 190: Waypost holds the sender", "expire", held, (ids) => change({ fail_numbers: Object.fromEntries(ids.map((id) => [id, 190])) }, "Changed.")), h("p", {
			id: "faults-note",
			role: "status",
			class: view.bad ? "error" : "quiet"
		}, view.said))));
	}
	function listed(name) {
		const value = view.settings?.[name];
		return Array.isArray(value) ? value.map(String) : [];
	}
	function slider(fault) {
		const { id, name, note, setting, steps, text } = fault;
		const value = fault.from(view.settings?.[setting] ?? 0);
		const nearest = steps.reduce((best, step, i) => Math.abs(step - value) < Math.abs(steps[best] - value) ? i : best, 0);
		const at = view.dragged.get(id) ?? nearest, shown = view.dragged.has(id) ? steps[at] : value;
		const index = (event) => Number(held(event));
		return h("div", {
			class: "fault",
			key: id
		}, h("label", { for: id }, h("span", null, name, h("span", { class: "quiet" }, ` ${note}`)), h("output", {
			id: `${id}-value`,
			for: id,
			"data-tone": fault.broken(shown) ? "bad" : null
		}, view.settings ? text(shown) : "…")), h("input", {
			id,
			type: "range",
			name: setting,
			min: 0,
			max: steps.length - 1,
			step: 1,
			value: String(at),
			"aria-valuetext": text(shown),
			disabled: view.settings === null,
			oninput: (event) => {
				view.dragged = new Map(view.dragged).set(id, index(event));
			},
			onchange: (event) => change({
				...fault.with,
				[setting]: fault.to(steps[index(event)])
			}, `${name}: ${text(steps[index(event)])}.`)
		}));
	}
	function numbers(name, note, id, chosen, changed) {
		return h("fieldset", {
			id,
			key: id
		}, h("legend", null, name, h("span", { class: "quiet" }, ` ${note}`)), (state.senders ?? []).map((sender) => h("label", {
			class: "check",
			key: sender.id
		}, h("input", {
			type: "checkbox",
			checked: chosen.includes(sender.phoneNumberId),
			onchange: (event) => changed(event.target.checked ? [...chosen, sender.phoneNumberId] : chosen.filter((other) => other !== sender.phoneNumberId))
		}), `${sender.name} (${sender.phoneNumberId})`)));
	}
}
// src/views/keys.ts
var every$3 = 5e3;
var scopes = [
	["READ", "messages, counts, and metrics, with numbers masked"],
	["PERSONAL", "phone numbers, labels, and content"],
	["SEND", "queue and cancel messages"],
	["OPERATE", "senders, alerts, dead letters"],
	["AUDIT", "the ledger and the event log"],
	["ADMIN", "everything, and keys"]
];
function keys(route) {
	const view = reactive({
		all: false,
		invalid: "",
		keys: null
	});
	const load = async () => {
		const { all } = view, { apiKeys } = await ask(ApiKeys, { includeRevoked: all });
		if (all === view.all) view.keys = apiKeys;
	};
	let stop = () => {};
	const begin = (query) => {
		stop();
		Object.assign(view, {
			all: query.get("all") === "1",
			invalid: unlisted(query, "all", ["1"]) || unknown(query, "all")
		});
		if (!view.invalid && !forbidden(ApiKeys)) stop = poll(every$3, load);
	};
	const put = (key) => {
		const rest = (view.keys ?? []).filter(({ id }) => id !== key.id);
		view.keys = key.revokedAt && !view.all ? rest : [...rest, key].sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
	};
	begin(route.query);
	return {
		title: "API keys",
		stop: () => stop(),
		moved: begin,
		render: () => {
			const reason = forbidden(ApiKeys);
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "API keys"), quiet(reason));
			if (view.invalid) return astray("API keys", view.invalid, "#/keys");
			return h("div", { class: "board" }, card("API keys", {
				id: "keys",
				class: "wide"
			}, [h("label", { class: "check" }, h("input", {
				type: "checkbox",
				checked: view.all,
				onchange: (event) => setQuery({ all: event.target.checked ? "1" : null })
			}), "Show revoked and expired keys"), button("Create key…", () => create(put), {
				class: "",
				id: "create-key"
			})], quiet("The ADMIN key of the installation and short-lived access tokens are not listed."), view.keys === null ? quiet("Loading…") : view.keys.length === 0 ? quiet("No keys yet.") : keyTable(view.keys, put)));
		}
	};
}
var columns$1 = [
	{ name: "Name" },
	{ name: "Scopes" },
	{ name: "Senders" },
	{ name: "Created" },
	{ name: "Last used" },
	{ name: "Expires" },
	{ name: "Change" }
];
var keyTable = (list, changed) => table$1({ class: "stack" }, "API keys", columns$1, list.map((key) => h("tr", { key: key.id }, h("th", { scope: "row" }, key.name, " ", key.revokedAt ? chip("revoked", "bad") : null), cell("Scopes", { class: "wrap" }, key.scopes.join(", ")), cell("Senders", { class: "wrap" }, key.senderIds?.join(", ") ?? "all"), cell("Created", { class: "wrap" }, time(key.createdAt, "minutes"), h("span", { class: "quiet" }, ` by ${actorOf(key.createdBy)}`)), cell("Last used", null, key.lastUsedAt ? time(key.lastUsedAt, "minutes") : "–"), cell("Expires", null, key.expiresAt ? time(key.expiresAt, "minutes") : "never"), h("td", null, key.revokedAt ? null : button("Revoke…", () => revoke(key, changed), {
	class: "plain small",
	"aria-label": `Revoke… ${key.name}`
})))));
function create(changed) {
	openDialog({
		title: "Create API key",
		label: () => "Create key",
		lost: lostEntry,
		body: () => [
			field("Name", h("input", {
				name: "name",
				required: true,
				autocomplete: "off"
			}), "Without personal data: it is recorded in the event log."),
			h("fieldset", null, h("legend", null, "Scopes"), scopes.map(([scope, meaning]) => h("label", {
				class: "check",
				key: scope
			}, h("input", {
				type: "checkbox",
				name: `scope-${scope}`,
				value: scope,
				defaultChecked: scope === "READ"
			}), scope, h("span", { class: "quiet" }, ` ${meaning}`)))),
			h("fieldset", null, h("legend", null, "Senders"), quiet("Without a choice, the key has access to all senders."), (state.senders ?? []).map(({ id, name }) => h("label", {
				class: "check",
				key: id
			}, h("input", {
				type: "checkbox",
				name: `sender-${id}`,
				value: id
			}), `${name} (${id})`))),
			field("Expires", h("input", {
				name: "expiresAt",
				type: "datetime-local",
				step: 60
			}), "If empty, never.")
		],
		run: async (values) => {
			const chosen = (prefix) => Object.entries(values).filter(([name]) => name.startsWith(prefix)).map(([, value]) => value);
			const senderIds = chosen("sender-");
			const { createApiKey } = await ask(CreateApiKey, { input: {
				name: values.name,
				scopes: chosen("scope-"),
				senderIds: senderIds.length > 0 ? senderIds : null,
				expiresAt: values.expiresAt ? fromField(values.expiresAt) : null
			} });
			changed(createApiKey.apiKey);
			showSecret(`API key ${createApiKey.apiKey.name}`, createApiKey.secret);
		}
	});
}
function revoke(key, changed) {
	openDialog({
		title: `Revoke ${key.name}`,
		danger: true,
		close: "Keep the key",
		label: () => "Revoke key",
		body: () => [h("p", null, "Programs that use the key, and the access tokens that it created, lose access within a second. This cannot be undone."), quiet("Key ID ", mono(key.id))],
		run: async () => {
			changed((await ask(RevokeApiKey, { id: key.id })).revokeApiKey);
			note(`${key.name} revoked.`);
		}
	});
}
// src/views/hooks.ts
var every$2 = 3e3;
var outcomes = {
	DELIVERED: "good",
	RETRIED: "warn",
	GIVEN_UP: "bad"
};
var read = (route, query) => ({
	id: route.params.id ?? null,
	failed: query.get("failed") === "1",
	page: pageOf(query),
	invalid: unlisted(query, "failed", ["1"]) || (route.params.id ? unknown(query, "failed", "page", "after") : unknown(query))
});
function hooks(route) {
	const view = reactive({
		asked: read(route, route.query),
		hooks: null,
		log: null,
		fault: ""
	});
	let stop = () => {};
	async function load() {
		const { asked } = view, { id, failed, page } = asked;
		try {
			if (id === null) view.hooks = (await ask(Hooks, {})).outgoingWebhooks;
			else {
				const { outgoingWebhooks } = await ask(HookDeliveries, {
					after: page.after,
					failed
				});
				if (asked !== view.asked) return;
				const one = outgoingWebhooks.filter((hook) => hook.id === id);
				Object.assign(view, {
					hooks: one,
					log: one[0]?.deliveries ?? null
				});
			}
			view.fault = "";
		} catch (error) {
			if (asked === view.asked) view.fault = messageOf(error);
			throw error;
		}
	}
	const changed = () => void load().catch(() => {});
	function begin(query) {
		stop();
		Object.assign(view, {
			asked: read(route, query),
			log: null
		});
		if (!view.asked.invalid && !forbidden(Hooks)) stop = poll(every$2, load);
	}
	begin(route.query);
	return {
		title: "Outgoing webhooks",
		stop: () => stop(),
		moved: begin,
		render: () => {
			const reason = forbidden(Hooks), { id, failed, page, invalid } = view.asked;
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Outgoing webhooks"), quiet(reason));
			if (invalid) return astray("Outgoing webhooks", invalid, link(["webhooks", ...id ? [id] : []]));
			return h("div", { class: "board" }, h("div", { class: "page-head wide" }, h("h2", null, id ? "Outgoing webhook" : "Outgoing webhooks"), h("div", { class: "tools" }, id ? h("a", { href: "#/webhooks" }, "All outgoing webhooks") : forbidden(CreateHook) ? null : button("Create webhook…", () => edit(null, changed), {
				class: "",
				id: "create-hook"
			}))), view.fault ? h("p", {
				class: "error wide",
				role: "alert"
			}, view.fault) : null, view.hooks === null ? quiet("Loading…") : view.hooks.length === 0 ? card(id ? "No webhook" : "No outgoing webhooks", {
				id: "none",
				class: "wide"
			}, null, quiet(id ? "There is no outgoing webhook with this ID." : "An outgoing webhook receives the events of messages at a URL of yours.")) : view.hooks.map((hook) => hookCard(hook, changed)), id && view.log ? card("Deliveries of the last seven days", {
				id: "deliveries",
				class: "wide"
			}, h("label", { class: "check" }, h("input", {
				type: "checkbox",
				checked: failed,
				onchange: (event) => setQuery({
					failed: event.target.checked ? "1" : null,
					after: null,
					page: null
				})
			}), "Only failed"), view.log.edges.length === 0 ? quiet("No deliveries.") : deliveries(view.log), pager(page, view.log.pageInfo.hasNextPage ? view.log.pageInfo.endCursor : null, byTime)) : null);
		}
	};
}
function hookCard(hook, changed) {
	const { id, url, disabledAt } = hook;
	return card([
		url,
		" ",
		disabledAt ? chip("disabled", "bad") : chip("enabled", "good")
	], {
		key: id,
		id: `hook-${id}`,
		class: "wide"
	}, actions(hook, changed), disabledAt ? h("div", {
		class: "callout",
		"data-tone": "bad"
	}, h("p", null, "Delivery stopped ", time(disabledAt, "seconds"), `. ${hook.disabledReason ?? ""}`), quiet("New events wait until you enable it.")) : null, facts([
		["Events", hook.eventTypes?.join(", ") ?? "all"],
		["Senders", hook.senderIds?.join(", ") ?? "all"],
		["Personal data", hook.personal ? "included" : "not included"],
		["Created", time(hook.createdAt, "minutes")],
		["ID", mono(id)]
	]), h("p", { class: "quiet" }, h("a", { href: `#/webhooks/${id}` }, "Deliveries"), " · ", h("a", { href: `#/webhooks/${id}?failed=1` }, "Failed deliveries")));
}
function actions(hook, changed) {
	const { id, url } = hook;
	return [forbidden(EnableHook) ? null : hook.disabledAt ? button("Enable", () => void attempt("Enabled. Delivery continues where it stopped.", () => ask(EnableHook, { id }).then(changed))) : button("Disable…", () => openDialog({
		title: "Disable outgoing webhook",
		label: () => "Disable",
		close: "Keep it enabled",
		body: () => [h("p", null, "Events from now on are kept until you enable it again."), field("Reason", h("input", {
			name: "reason",
			autocomplete: "off"
		}), "Optional. Recorded.")],
		run: async ({ reason }) => {
			await ask(DisableHook, {
				id,
				reason: reason ?? null
			});
			changed();
			note("Disabled.");
		}
	})), forbidden(UpdateHook) ? null : [
		button("Edit…", () => edit(hook, changed)),
		button("New secret…", () => openDialog({
			title: "New secret",
			label: () => "Create new secret",
			lost: "No response, so the outcome is unknown. If the secret was replaced, creating another one ends the signatures by the secret that your receiver has.",
			body: () => h("p", null, "For 24 hours, deliveries also carry a signature by the old secret."),
			run: async () => {
				showSecret(`Secret for ${url}`, (await ask(RotateHookSecret, { id })).rotateOutgoingWebhookSecret.secret);
			}
		})),
		button("Remove…", () => openDialog({
			title: "Remove outgoing webhook",
			danger: true,
			label: () => "Remove",
			close: "Keep it",
			body: () => h("p", null, `${url} no longer receives events. This cannot be undone.`),
			run: async () => {
				await ask(RemoveHook, { id });
				changed();
				note("Removed.");
			}
		}))
	]];
}
/** Parses a list, or returns null if nothing was entered. A text of commas only is rejected, because null means all. */
var list = (name, text) => {
	const parts = (text ?? "").split(/[\s,]+/).filter(Boolean);
	if (text && parts.length === 0) throw new Error(`${name}: “${text}” has no entries. Clear the field for all.`);
	return parts.length > 0 ? parts : null;
};
function edit(hook, changed) {
	openDialog({
		title: hook ? "Edit outgoing webhook" : "Create outgoing webhook",
		label: () => hook ? "Save" : "Create",
		...hook ? {} : { lost: lostEntry },
		body: () => [
			field("URL", h("input", {
				name: "url",
				type: "url",
				required: true,
				defaultValue: hook?.url ?? "",
				placeholder: "https://example.com/waypost",
				autocomplete: "off"
			})),
			field("Events", h("input", {
				name: "eventTypes",
				defaultValue: hook?.eventTypes?.join(", ") ?? "",
				placeholder: "Delivered, Read, DeadLettered",
				autocomplete: "off"
			}), "If empty, all types."),
			field("Senders", h("input", {
				name: "senderIds",
				defaultValue: hook?.senderIds?.join(", ") ?? "",
				placeholder: (state.senders ?? []).map(({ id }) => id).join(", "),
				autocomplete: "off"
			}), "IDs of senders. If empty, all."),
			h("label", { class: "check" }, h("input", {
				type: "checkbox",
				name: "personal",
				value: "1",
				defaultChecked: hook?.personal ?? false
			}), "Include phone numbers and content")
		],
		run: async (values) => {
			const input = {
				url: values.url,
				eventTypes: list("Events", values.eventTypes),
				senderIds: list("Senders", values.senderIds),
				personal: values.personal === "1"
			};
			if (hook) {
				await ask(UpdateHook, {
					id: hook.id,
					input
				});
				note("Saved.");
			} else showSecret(`Secret for ${input.url}`, (await ask(CreateHook, { input })).createOutgoingWebhook.secret);
			changed();
		}
	});
}
var noMessage = /^[0-]+$/;
var columns = [
	{ name: "At" },
	{ name: "Event" },
	{ name: "Message" },
	{
		name: "Attempt",
		class: "number"
	},
	{
		name: "Took",
		class: "number"
	},
	{ name: "Outcome" },
	{ name: "Response" }
];
var deliveries = ({ edges }) => table$1({ class: "stack" }, "Deliveries, newest first", columns, edges.map(({ node }) => h("tr", { key: `${node.eventId} ${node.attempt}` }, cell("At", null, time(node.at)), cell("Event", null, node.eventType), cell("Message", null, noMessage.test(node.messageId) ? "–" : messageLink(node.messageId)), cell("Attempt", { class: "number" }, node.attempt), cell("Took", { class: "number" }, span(seconds(node.took))), cell("Outcome", null, chip(words(node.outcome), outcomes[node.outcome])), cell("Response", { class: "wrap" }, node.status === null ? node.error ?? "none" : `HTTP ${node.status}`))));
// src/views/erasure.ts
function erasure(_) {
	const view = reactive({
		receipt: null,
		fault: ""
	});
	function confirm(event) {
		event.preventDefault();
		const form = event.currentTarget, { person = "", reason = "" } = values(form);
		view.fault = "";
		openDialog({
			title: "Erase the data of this person",
			danger: true,
			close: "Don't erase",
			label: () => "Erase permanently",
			body: () => [h("p", null, h("strong", null, person)), h("p", null, "Their data is erased from the messages of all senders, under every ID that WhatsApp has linked with this one. Waiting messages to them are cancelled. No one can restore the data.")],
			run: async () => {
				try {
					view.receipt = (await ask(Erase, {
						...isUserId(person) ? { toUserId: person } : { to: person },
						reason
					})).eraseRecipient;
					form.reset();
				} catch (error) {
					view.fault = messageOf(error);
					throw error;
				}
			}
		});
	}
	return {
		title: "Erasure",
		stop: () => {},
		render: () => {
			const reason = forbidden(Erase) ?? (state.viewer?.senderIds ? "This requires a key that is not limited to senders." : null);
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Erasure"), quiet(reason));
			const { receipt } = view;
			return h("div", { class: "board" }, card("Erase a person's data", { id: "erase" }, null, quiet("Phone numbers, labels, content, and WhatsApp's IDs become unreadable everywhere. Counts and the ledger stay correct."), h("form", { onsubmit: confirm }, field("Number or user ID", h("input", {
				name: "person",
				required: true,
				autocomplete: "off",
				placeholder: "+1 415 555 0101"
			})), field("Reason", h("input", {
				name: "reason",
				required: true,
				autocomplete: "off"
			}), "Recorded. Without personal data."), h("p", {
				class: "error",
				role: "alert"
			}, view.fault), h("div", { class: "actions" }, h("button", {
				type: "submit",
				class: "danger"
			}, "Erase…")))), card("Receipt", { id: "receipt" }, null, receipt === null ? quiet("The receipt of an erasure is shown here. It doesn't identify the person.") : facts([
				["Erasure ID", mono(receipt.id)],
				["Recorded", time(receipt.at)],
				["Messages", count(receipt.messages)],
				["Events", count(receipt.events)]
			])));
		}
	};
}
// src/views/campaign.ts
var every$1 = 5e3;
var senderLimit = 20;
var campaign = (route) => route.params.label && route.params.value ? one(route.params.label, route.params.value) : choice();
/** The form for a label, and the paused campaigns. */
function choice() {
	const view = reactive({
		fault: "",
		pauses: []
	});
	return {
		title: "Campaigns",
		stop: poll(every$1, async () => {
			view.pauses = (await ask(CampaignPauses, {})).campaignPauses;
		}),
		render: () => card("Campaign", {
			id: "campaign",
			class: "narrow"
		}, null, quiet("A campaign is the messages with one label."), h("form", { onsubmit: (event) => {
			event.preventDefault();
			const text = values(event.currentTarget).label ?? "", at = text.indexOf("=");
			if (at <= 0 || at === text.length - 1) view.fault = "Enter a label as name=value, for example campaign=spring.";
			else go(link([
				"campaigns",
				text.slice(0, at).trim(),
				text.slice(at + 1).trim()
			]));
		} }, h("div", { class: "field" }, h("label", { for: "campaign-label" }, "Label"), h("input", {
			id: "campaign-label",
			name: "label",
			required: true,
			autocomplete: "off",
			placeholder: "campaign=spring"
		})), h("p", {
			class: "error",
			role: "alert"
		}, view.fault), h("div", { class: "actions" }, h("button", { type: "submit" }, "Show"))), view.pauses.length > 0 ? [h("h3", null, "Paused campaigns"), h("ul", {
			id: "paused-campaigns",
			class: "alert-lines"
		}, view.pauses.map(pausedCampaign))] : null)
	};
}
/** A paused campaign in one line. Without the scope PERSONAL, the value of its label is masked, so it is not linked. */
function pausedCampaign({ id, label: { name, value }, reason, since, by }) {
	const text = `${name} = ${value}`;
	return h("li", { key: id }, may("PERSONAL") ? h("a", { href: link([
		"campaigns",
		name,
		value
	]) }, text) : text, h("span", { class: "quiet" }, "since ", time(since, "seconds"), ` by ${actorOf(by)}:`), h("q", null, reason));
}
function one(label, value) {
	const labels = [{
		name: label,
		value
	}];
	const shown = reactive({
		counts: null,
		senders: [],
		pause: void 0
	});
	let changes = 0;
	const paused = (now) => {
		changes++;
		shown.pause = now;
	};
	const loadPause = async () => {
		const before = changes, { campaignPauses } = await ask(CampaignPauses, { label: {
			name: label,
			value
		} });
		if (before === changes) shown.pause = campaignPauses[0] ?? null;
	};
	const load = async () => {
		const of = async (senderId) => (await ask(MessageCounts, { filter: {
			labels,
			senderId
		} })).messageCounts;
		shown.counts = await of(null);
		const senders = [];
		for (const { id } of (state.senders ?? []).slice(0, senderLimit)) {
			const counts = await of(id);
			if (sumOf(counts) > 0) senders.push({
				id,
				counts
			});
		}
		shown.senders = senders;
	};
	const ends = [poll(every$1, loadPause), poll(every$1, load)];
	const list = (query) => link(["messages"], new URLSearchParams({
		label: `${label}=${value}`,
		...query
	}));
	const senderRow = ({ id, counts }) => {
		const sender = state.senders?.find((s) => s.id === id);
		return h("tr", { key: id }, cell("Sender", null, h("a", { href: link(["senders", id]) }, sender?.name ?? id), " ", sender && hindered(sender) ? stateChip(sender) : null), cell("Messages", { class: "number" }, h("a", { href: list({ sender: id }) }, count(sumOf(counts)))), cell("Waiting", { class: "number" }, count(sumOf(counts, open))));
	};
	const pauseTools = () => {
		if (forbidden(PauseCampaign) || state.viewer?.senderIds || shown.pause === void 0) return null;
		if (!shown.pause) return button("Pause…", () => pause(label, value, null, paused), { id: "pause-campaign" });
		return [button("Reason…", () => pause(label, value, shown.pause ?? null, paused), { id: "pause-reason" }), button("Resume", () => void attempt("Campaign resumed.", async () => {
			await ask(ResumeCampaign, { label: {
				name: label,
				value
			} });
			paused(null);
		}), { id: "resume-campaign" })];
	};
	return {
		title: `Campaign ${label}=${value}`,
		stop: () => {
			for (const end of ends) end();
		},
		render: () => h("div", { class: "board" }, card(`${label} = ${value}`, {
			id: "campaign",
			class: "wide"
		}, [
			h("a", { href: list({}) }, "Messages"),
			pauseTools(),
			!forbidden(CancelMany) && shown.counts && sumOf(shown.counts, open) > 0 ? button("Cancel the waiting messages…", () => cancelMessages({ labels }, `the label ${label} = ${value}`, () => void load().catch(report))) : null
		], shown.pause && pausedBy(shown.pause, "Its messages wait, including those queued later."), shown.counts === null ? quiet("Counting…") : campaignFigures(shown.counts, (status) => list({ status }))), card("Senders", {
			id: "campaign-senders",
			class: "wide"
		}, null, shown.senders.length === 0 ? quiet("None yet.") : table$1({ class: "stack" }, "Messages by sender", [
			{ name: "Sender" },
			{
				name: "Messages",
				class: "number"
			},
			{
				name: "Waiting",
				class: "number"
			}
		], shown.senders.map(senderRow)), (state.senders?.length ?? 0) > senderLimit ? quiet(`Only the first ${plural(senderLimit, "sender")} are counted here.`) : null))
	};
}
/** Opens the dialog that pauses a campaign, or that changes the reason of its pause. */
function pause(label, value, now, paused) {
	openDialog({
		title: now ? `Pause of ${label} = ${value}` : `Pause ${label} = ${value}`,
		label: () => now ? "Save" : "Pause",
		body: () => [
			h("p", null, "Messages with this label are still accepted, but wait, whatever their sender and lane. Calls in flight are completed. Waiting messages can expire."),
			now ? h("p", null, "If someone has resumed the campaign in the meantime, saving pauses it again.") : null,
			field("Reason", h("input", {
				name: "reason",
				required: true,
				autocomplete: "off",
				defaultValue: now?.reason ?? ""
			}), "Shown to everyone who sees the messages.")
		],
		run: async (values) => {
			const { pauseCampaign } = await ask(PauseCampaign, { input: {
				label: {
					name: label,
					value
				},
				reason: values.reason
			} });
			paused(pauseCampaign);
			note(!now ? "Campaign paused." : pauseCampaign.id === now.id ? "Reason changed." : "Campaign paused again.");
		}
	});
}
// src/embed.ts
var every = 5e3;
/** Whether this page is a single view. */
var embedded = location.pathname.endsWith("/embed");
var shown = reactive({
	data: null,
	fault: "",
	ended: false
});
var token = "";
var view = null;
function startEmbedded() {
	take();
	addEventListener("hashchange", () => {
		if (take()) load();
	});
	Q(h(Embedded, {}), document.getElementById("app"));
	load();
}
/** Takes the token from the address, where it does not stay. */
function take() {
	const given = /^#token=(wpv_[\w.-]+)$/.exec(location.hash)?.[1];
	if (!given) {
		if (!token) Object.assign(shown, {
			fault: "This view has no token.",
			ended: true
		});
		return false;
	}
	token = given;
	history.replaceState(null, "", location.pathname);
	try {
		const text = given.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
		view = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
	} catch {
		view = null;
	}
	Object.assign(shown, {
		fault: "",
		ended: false
	});
	return true;
}
var timer;
async function load() {
	clearTimeout(timer);
	if (shown.ended) return;
	const used = token;
	try {
		const response = await fetch("embed/data", {
			headers: { authorization: `Bearer ${used}` },
			credentials: "omit",
			signal: AbortSignal.timeout(1e4)
		});
		sawServerTime(response.headers.get("date") ?? "");
		const answer = await response.json();
		if (used !== token) return;
		if (response.status === 401) return void Object.assign(shown, {
			data: null,
			fault: "This view has expired. Reload the page that contains it.",
			ended: true
		});
		if (answer.data) shown.data = answer.data;
		shown.fault = answer.errors?.[0]?.message ?? "";
	} catch {
		shown.fault = "The server does not respond. Retrying automatically.";
	}
	timer = setTimeout(load, every);
}
var gone = quiet("There is nothing to show.");
function body({ message, messageCounts, sender, metrics }) {
	switch (view?.kind) {
		case "message": return message ? messageCard(message) : gone;
		case "campaign": return messageCounts ? card(`${view.label} = ${view.value}`, { id: "embedded-campaign" }, null, campaignFigures(messageCounts, null)) : gone;
		case "sender": return sender ? senderCard(sender, metrics) : gone;
		default: return gone;
	}
}
var messageCard = (m) => card(["Message ", statusChip(m.status)], { id: "embedded-message" }, null, facts([
	["Sender", m.sender.name],
	["To", m.to],
	["Type", words(m.type)],
	["Queued", time(m.queuedAt)],
	["Send at", m.sendAt && time(m.sendAt)],
	["Sent", m.sentAt && time(m.sentAt)],
	["Delivered", m.deliveredAt && time(m.deliveredAt)],
	["Read", m.readAt && time(m.readAt)],
	["Problem", m.failure && `${m.failure.message} ${m.failure.advice}`]
]), m.content ? bubble(m.type, m.content) : null);
var senderCard = (s, metrics) => card([
	s.name,
	" ",
	statusChip(s.state)
], { id: "embedded-sender" }, null, facts([
	["Why", s.hold ? [
		s.hold.message,
		" since ",
		time(s.hold.since)
	] : s.pauseReason],
	["Due", figure(s.queueDepth)],
	["Empty in", s.emptyIn && s.queueDepth > 0 && span(seconds(s.emptyIn))],
	["Sent per minute", metrics && figure(metrics.sentPerMinute)],
	["Delivered, last 5 minutes", metrics && percent(metrics.deliveryRate)],
	["Errors, last 5 minutes", metrics && percent(metrics.errorRate)]
]));
function Embedded() {
	return h("main", {
		id: "main",
		class: "embedded"
	}, h("h1", { class: "unseen" }, "Waypost"), shown.fault ? h("p", {
		id: "embed-fault",
		class: "error",
		role: "alert"
	}, shown.fault) : null, shown.data ? body(shown.data) : shown.fault ? null : quiet("Loading…"));
}
// src/main.ts
var router = new UniversalRouterSync(Object.entries({
	"/": overview,
	"/compare": compare,
	"/messages": messages,
	"/messages/:id": message,
	"/conversations": conversations,
	"/conversations/:sender/:person": conversation,
	"/campaigns{/:label/:value}": campaign,
	"/dead-letters": deadLetters,
	"/alerts": alerts,
	"/senders{/:id}": senders,
	"/templates": templates,
	"/templates/:account/:name/:language": templates,
	"/ledger": ledger,
	"/queue": queue,
	"/break": breakIt,
	"/keys": keys,
	"/webhooks{/:id}": hooks,
	"/erasure": erasure
}).map(([path, page]) => ({
	path,
	action: ({ params, query }) => () => page({
		params,
		query
	})
})), { errorHandler: (_, { pathname }) => () => nowhere(pathname) });
var frame = reactive({
	view: null,
	menuOpen: false
});
var shownFor = "";
var views = 0;
/** Shows the view of the address. If the view is already shown and keeps its state, only its query changes. */
function follow() {
	const { path, query } = address.value, { viewer } = state;
	f(() => {
		const place = viewer ? JSON.stringify([viewer.keyId, path]) : "";
		if (place && place === shownFor && frame.view?.moved) return frame.view.moved(query);
		frame.view?.stop();
		leaveDialog();
		views++;
		frame.view = place ? router.resolve({
			pathname: path,
			query
		})() : null;
		frame.menuOpen = false;
		if (shownFor && place) {
			scrollTo(0, 0);
			document.getElementById("main")?.focus({ preventScroll: true });
		}
		shownFor = place;
	});
}
var nowhere = (path) => ({
	title: "Not found",
	stop: () => {},
	render: () => h("section", { class: "card narrow" }, h("h2", null, `There is no page “${path}”`), h("a", { href: "#/" }, "Go to the overview"))
});
function Status() {
	const [text, tone] = state.away ? ["Server unavailable", "bad"] : !state.viewer ? [session.opening ? "Connecting…" : "Not signed in", "wait"] : state.live === "live" ? ["Live", "good"] : state.live === "lost" ? ["Reconnecting…", "warn"] : ["Connecting…", "wait"];
	return chip(text, tone, {
		id: "connection",
		role: "status"
	});
}
function entries() {
	const open = loudAlerts();
	const stopped = (state.senders ?? []).filter(hindered).length;
	return [
		{
			name: "",
			text: "Overview"
		},
		{
			name: "messages",
			text: "Messages"
		},
		{
			name: "conversations",
			text: "Conversations"
		},
		{
			name: "campaigns",
			text: "Campaigns"
		},
		{
			name: "dead-letters",
			text: "Dead letters",
			count: badge(state.deadLetters),
			tone: "bad"
		},
		{
			name: "alerts",
			text: "Alerts",
			count: badge(open.length),
			tone: open.some((alert) => alert.severity === "CRITICAL") ? "bad" : "warn"
		},
		{
			name: "senders",
			text: "Senders",
			count: badge(stopped),
			tone: "warn",
			title: `${plural(stopped, "sender")} held, paused, restricted, or without responses from WhatsApp`
		},
		{
			name: "templates",
			text: "Templates"
		},
		!forbidden(Ledger) && {
			name: "ledger",
			text: "Ledger and log"
		},
		!forbidden(Queue) && {
			name: "queue",
			text: "Queue a message"
		},
		!forbidden(Hooks) && {
			name: "webhooks",
			text: "Outgoing webhooks"
		},
		!forbidden(ApiKeys) && {
			name: "keys",
			text: "API keys"
		},
		!forbidden(Erase) && !state.viewer?.senderIds && {
			name: "erasure",
			text: "Erasure"
		},
		state.demo !== null && {
			name: "break",
			text: "Break it"
		}
	].filter((entry) => entry !== false);
}
/** What the command palette offers: the views, the senders, and the keys. */
var commands = () => [
	{
		name: "Search messages",
		run: focusSearch,
		keys: "/"
	},
	...entries().map(({ name, text }) => ({
		name: text,
		run: link(name ? [name] : [])
	})),
	...(state.senders ?? []).map(({ id, name }) => ({
		name: `Sender ${name} (${id})`,
		run: link(["senders", id])
	})),
	{
		name: "Compare two time ranges",
		run: link(["compare"])
	},
	{
		name: "Dark theme",
		run: () => setTheme("dark")
	},
	{
		name: "Light theme",
		run: () => setTheme("light")
	},
	{
		name: "Show these commands",
		run: () => openPalette(commands()),
		keys: "? or Ctrl+K"
	}
];
function Menu() {
	const here = address.value.path.split("/")[1] ?? "";
	return h("nav", {
		id: "menu",
		class: "menu",
		"aria-label": "Views",
		"data-open": String(frame.menuOpen)
	}, h("ul", null, entries().map(({ name, text, count, tone, title }) => h("li", { key: name }, h("a", {
		href: link(name ? [name] : []),
		"aria-current": name === here ? "page" : null,
		onclick: () => {
			frame.menuOpen = false;
		}
	}, text, count ? h("span", {
		class: "badge",
		"data-tone": tone ?? null,
		title: title ?? null
	}, count) : null)))), h("div", { class: "menu-end" }, h("label", { class: "choose" }, h("span", null, "Theme"), h("select", {
		id: "theme",
		value: theme.value,
		onchange: (event) => setTheme(held(event))
	}, [
		"system",
		"light",
		"dark"
	].map((name) => h("option", {
		key: name,
		value: name
	}, name)))), h("label", { class: "choose" }, h("span", null, "Times"), h("select", {
		id: "zone",
		value: utc.value ? "UTC" : "local",
		onchange: (event) => setUtc(held(event) === "UTC")
	}, [["local", "local"], ["UTC", "UTC"]].map(([value, text]) => h("option", {
		key: value,
		value
	}, text)))), h("button", {
		type: "button",
		class: "plain small",
		onclick: () => openPalette(commands())
	}, "Commands ", h("kbd", null, "?")), h("a", { href: "playground" }, "GraphiQL"), h("p", {
		class: "quiet",
		id: "who"
	}, signedIn() ? "Signed in as " : "Key ", h("strong", null, state.viewer.name), state.viewer.scopes.includes("ADMIN") ? null : `: ${state.viewer.scopes.join(", ")}`, state.viewer.senderIds ? `; senders ${state.viewer.senderIds.join(", ")}` : null), h("button", {
		type: "button",
		id: "forget",
		class: "plain small",
		onclick: () => void leave()
	}, signedIn() ? "Sign out" : "Change key")));
}
function Trouble() {
	const behind = state.behind ?? 0;
	const text = state.away && state.viewer ? "The server does not respond. The data shown is from before. It updates automatically when the server is back." : state.trouble ?? (behind >= 5 ? `Lists and counts are ${span(behind)} behind the event log. A message's own page is current.` : "");
	return h("div", { role: "alert" }, text ? h("p", {
		id: "trouble",
		class: "trouble",
		"data-tone": state.away || state.trouble ? "bad" : "warn"
	}, text) : null);
}
function Current({ view }) {
	return h("div", null, h("h1", { class: "unseen" }, view.title), view.render());
}
function Main() {
	const { view } = frame;
	return h("main", {
		id: "main",
		tabindex: -1,
		class: state.away ? "away" : ""
	}, view ? h(Current, {
		key: views,
		view
	}) : session.asksForKey ? [h("h1", { class: "unseen" }, "Waypost"), signInCard()] : h("p", { class: "quiet centred" }, session.fault || "Connecting…"));
}
var skip = (event) => {
	event.preventDefault();
	document.getElementById("main")?.focus();
};
function Frame() {
	const signedIn = state.viewer !== null;
	return h("div", null, h("a", {
		class: "skip",
		href: "#main",
		onclick: skip
	}, "Skip to content"), h("header", { class: "bar" }, h("a", {
		class: "brand",
		href: "#/"
	}, h("img", {
		src: "icon.svg",
		alt: "",
		width: 24,
		height: 24
	}), "Waypost"), signedIn ? h(SearchBox, {}) : null, h(Status, {}), signedIn ? h("button", {
		type: "button",
		class: "plain menu-button",
		"aria-expanded": String(frame.menuOpen),
		"aria-controls": "menu",
		onclick: () => {
			frame.menuOpen = !frame.menuOpen;
		}
	}, "Menu") : null), h("div", { class: signedIn ? "body" : "body bare" }, signedIn ? h(Menu, {}) : null, h("div", { class: "content" }, h(Trouble, {}), h(Main, {}))), h(Overlay, {}), h(Palette, {}));
}
var drawEvery = 100;
var drawnAt = 0;
n$1.debounceRendering = (draw) => {
	const now = () => {
		drawnAt = performance.now();
		draw();
	};
	setTimeout(() => document.hidden ? now() : requestAnimationFrame(now), Math.max(0, drawnAt + drawEvery - performance.now()));
};
if (embedded) startEmbedded();
else begin();
function begin() {
	x(follow);
	x(() => {
		const open = loudAlerts().length;
		document.title = visible(`${open > 0 ? `(${open}) ` : ""}${frame.view ? `${frame.view.title} · ` : ""}Waypost`);
	});
	onSignOut(expire);
	onAnnounce((text) => note(text, text.startsWith("Alert")));
	addEventListener("hashchange", () => {
		if (takeLink()) start();
	});
	addEventListener("online", () => connection.hurry());
	addEventListener("keydown", (event) => {
		const plain = !(event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], dialog")) && !event.ctrlKey && !event.metaKey && !event.altKey;
		if (event.key === "/" && plain && state.viewer) {
			event.preventDefault();
			focusSearch();
		} else if ((event.key === "?" && plain || event.key === "k" && (event.ctrlKey || event.metaKey)) && state.viewer) {
			event.preventDefault();
			openPalette(commands());
		} else if (event.key === "Escape") frame.menuOpen = false;
	});
	addEventListener("pagehide", (event) => {
		if (event.persisted) return;
		end();
		connection.close();
	});
	Q(h(Frame, {}), document.getElementById("app"));
	start();
}
