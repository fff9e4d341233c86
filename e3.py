import pickle
out=pickle.load(open('/tmp/fingerprints/animals.out','rb'))
seen=set()
rest=[]
for e,a,b,m in out:
    if (a,b) in seen: continue
    seen.add((a,b)); rest.append((e,a,b,m))
print(len(rest))
for e,a,b,m in rest[-110:]: print('%.0f %s | %s %.2f %+.2f %.2f'%(e,a,b,*m))
print('different classes')
for e,a,b,m in rest:
    if str(a)[:4]!=str(b)[:4]: print('%.0f %s | %s %.2f %+.2f %.2f'%(e,a,b,*m))
